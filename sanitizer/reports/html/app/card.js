// The findings of a label row, or of an image, as a card of the gallery, and the controls that card and large view share.

import { baseName, className, count, DATA, DECISIONS, dropsImage, F, offered, place, ruleName, SEVERITIES, whyNotOffered } from "./data.js";
import { button, el, icon, severityMark } from "./dom.js";
import { commentsOf, conflictOf, decisionOf, haveDecision } from "./decisions.js";
import { picture, quotedRow, twinPicture } from "./picture.js";

const KEY_OF = { fix: "f", drop: "d", keep: "e" };
const MESSAGES_SHOWN = 3; // lines of a card; of more findings, the first two and how many more

/** The finding that a card leads with: the gravest, the first of several. */
export function leadOf(members) {
  return members.reduce((best, i) => (SEVERITIES.indexOf(F.severity[i]) < SEVERITIES.indexOf(F.severity[best]) ? i : best));
}

export function decisionControls(members) {
  const group = el("div", { class: "decide", role: "group", "aria-label": "Decision" });
  for (const decision of DECISIONS) {
    const able = members.filter((i) => offered(i, decision));
    const node = button({ class: `choice ${decision}`, "data-decide": decision, "aria-pressed": "false",
      title: able.length ? choiceTitle(able, members, decision) : whyNotOffered(decision) }, icon(decision), decision);
    node.disabled = able.length === 0;
    group.append(node);
  }
  return group;
}

function choiceTitle(able, members, decision) {
  const title = `${decision} (${KEY_OF[decision]})`;
  if (decision === "drop" && able.some(dropsImage)) return `${title}: leave the whole image out, by --view`;
  return able.length < members.length ? `${title}: ${count(able.length)} of ${count(members.length)} findings` : title;
}

/** Bring the controls for findings up to date: the choices, and the field for a comment that they share. Returns their decision. */
export function paintControls(node, members) {
  const decided = DECISIONS.find((decision) => haveDecision(members, decision));
  for (const choice of node.querySelector(".decide").children) choice.setAttribute("aria-pressed", String(choice.dataset.decide === decided));
  const comment = node.querySelector(".comment");
  const known = commentsOf(members);
  comment.readOnly = known.length > 1;
  comment.title = comment.readOnly ? "Comments differ: the large view has a field for each finding" : "";
  if (document.activeElement !== comment) comment.value = known.filter(Boolean).join(" · ");
  return decided;
}

/** Bring a card or the large view up to date with the decisions on its findings. */
export function paintDecision(node, members) {
  node.dataset.decision = paintControls(node.querySelector("footer"), members) ?? "";
  const conflict = members.map(conflictOf).find((other) => other !== null) ?? null;
  const note = node.querySelector(".conflict");
  note.hidden = conflict === null;
  note.textContent = conflict === null ? "" : `${F.rule[conflict]} says ${decisionOf(conflict)} for this row: neither will be done`;
  note.title = note.textContent;
}

const PLACE_END = 18; // characters of a place that always show: the end of the file's name, line and column

/** The place, shortened in its middle where it is too long for a card. */
function placeNode(i) {
  const text = Array.from(place(i));
  const cut = Math.max(0, text.length - PLACE_END);
  return el("p", { class: "place", title: place(i) },
    el("span", { class: "place-start" }, text.slice(0, cut).join("")), el("span", { class: "place-end" }, text.slice(cut).join("")));
}

/** One message as a paragraph, several as a list with their codes. */
function messages(members) {
  if (members.length === 1) return el("p", { class: "message", title: F.message[members[0]] }, F.message[members[0]]);
  const listed = members.length > MESSAGES_SHOWN ? MESSAGES_SHOWN - 1 : members.length;
  const items = members.slice(0, listed).map((i) =>
    el("li", { class: F.severity[i], title: F.message[i] }, el("code", {}, F.rule[i]), " ", F.message[i]));
  if (listed < members.length) items.push(el("li", {}, `and ${count(members.length - listed)} more findings: open the card`));
  return el("ul", { class: "messages" }, ...items);
}

function heading(members, lead) {
  const others = members.length === 1 ? null : el("span", { class: "tag" }, `+ ${count(members.length - 1)}`);
  return [severityMark(F.severity[lead]),
    el("h3", { id: `card-${lead}`, title: ruleName(F.rule[lead]) }, el("code", {}, F.rule[lead]), " ", ruleName(F.rule[lead])), others];
}

/** The pictures of a card: that of its finding, and beside it the other image of a finding about two. */
export function picturesOf(members, lead, large = false) {
  const twin = members.map((i) => F.twin[i]).find((name) => name !== null && DATA.twins[name]) ?? null;
  if (twin === null) return picture(lead, large);
  const own = F.image[lead] === null ? "this image" : F.image[lead];
  return el("div", { class: "twins" }, captioned(picture(lead, large), own), captioned(twinPicture(twin, large), twin));
}

const captioned = (frame, name) => el("div", { class: "twin" }, frame, el("span", { class: "twin-name", title: name }, baseName(name)));

/** A card for findings that share one; `position` is its place among `size` cards. */
export function card(members, position, size) {
  const lead = leadOf(members);
  const node = el("article", { class: `card ${F.severity[lead]}`, tabindex: "-1", "aria-labelledby": `card-${lead}`,
    "aria-posinset": position + 1, "aria-setsize": size, "data-finding": lead, "data-findings": members.join(" "), "data-position": position });
  const open = button({ class: "open", "aria-label": `Open ${F.rule[lead]} at ${place(lead)}`, tabindex: "-1" }, picturesOf(members, lead));
  const comment = el("input", { class: "comment", type: "text", placeholder: "Comment", "aria-label": "Comment", maxlength: "1000", autocomplete: "off" });
  node.append(
    el("header", {}, ...heading(members, lead).filter(Boolean)),
    open,
    el("div", { class: "card-text" },
      messages(members),
      placeNode(lead),
      F.row[lead] === null || F.crop[lead] === null ? null : quotedRow(lead),
      el("p", { class: "hint" },
        F.class_id[lead] === null && F.class_name[lead] === null ? null : el("span", { class: "tag", title: className(lead) }, className(lead)),
        F.suggestion[lead] === null ? null : el("span", { class: "suggestion", title: F.suggestion[lead] }, F.suggestion[lead])),
      F.about[lead] === null || F.crop[lead] === null && F.row[lead] === null ? null : el("p", { class: "about", title: F.about[lead] }, F.about[lead]),
      el("p", { class: "conflict", hidden: true })),
    el("footer", {}, decisionControls(members), comment));
  paintDecision(node, members);
  return node;
}
