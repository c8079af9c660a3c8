// A finding as a card of the gallery, and the decision controls that card and large view share.

import { className, DECISIONS, dropsImage, F, offered, place, ruleName, whyNotOffered } from "./data.js";
import { button, el, icon, severityMark } from "./dom.js";
import { commentOf, conflictOf, decisionOf } from "./decisions.js";
import { picture, quotedRow } from "./picture.js";

const KEY_OF = { fix: "f", drop: "d", keep: "e" };

export function decisionControls(i) {
  const group = el("div", { class: "decide", role: "group", "aria-label": "Decision" });
  for (const decision of DECISIONS) {
    const possible = offered(i, decision);
    const node = button({ class: `choice ${decision}`, "data-decide": decision, "aria-pressed": "false",
      title: possible ? choiceTitle(i, decision) : whyNotOffered(decision) }, icon(decision), decision);
    node.disabled = !possible;
    group.append(node);
  }
  return group;
}

function choiceTitle(i, decision) {
  const title = `${decision} (${KEY_OF[decision]})`;
  return decision === "drop" && dropsImage(i) ? `${title}: leave the whole image out, by --view` : title;
}

/** Bring a card or the large view up to date with the decision on its finding. */
export function paintDecision(node, i) {
  const decision = decisionOf(i);
  node.dataset.decision = decision ?? "";
  for (const choice of node.querySelectorAll("[data-decide]")) {
    choice.setAttribute("aria-pressed", String(choice.dataset.decide === decision));
  }
  const comment = node.querySelector(".comment");
  if (document.activeElement !== comment) comment.value = commentOf(i);
  const conflict = conflictOf(i);
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

export function card(i, position, size) {
  const heading = `card-${i}`;
  const node = el("article", { class: `card ${F.severity[i]}`, tabindex: "-1", "aria-labelledby": heading,
    "aria-posinset": position + 1, "aria-setsize": size, "data-finding": i, "data-position": position });
  const open = button({ class: "open", "aria-label": `Open ${F.rule[i]} at ${place(i)}`, tabindex: "-1" }, picture(i));
  const comment = el("input", { class: "comment", type: "text", placeholder: "Comment", "aria-label": "Comment", maxlength: "1000", autocomplete: "off" });
  node.append(
    el("header", {}, severityMark(F.severity[i]),
      el("h3", { id: heading, title: ruleName(F.rule[i]) }, el("code", {}, F.rule[i]), " ", ruleName(F.rule[i]))),
    open,
    el("div", { class: "card-text" },
      el("p", { class: "message", title: F.message[i] }, F.message[i]),
      placeNode(i),
      F.row[i] === null || F.crop[i] === null ? null : quotedRow(i),
      el("p", { class: "hint" },
        F.class_id[i] === null && F.class_name[i] === null ? null : el("span", { class: "tag", title: className(i) }, className(i)),
        F.suggestion[i] === null ? null : el("span", { class: "suggestion", title: F.suggestion[i] }, F.suggestion[i])),
      F.about[i] === null || F.crop[i] === null && F.row[i] === null ? null : el("p", { class: "about", title: F.about[i] }, F.about[i]),
      el("p", { class: "conflict", hidden: true })),
    el("footer", {}, decisionControls(i), comment));
  paintDecision(node, i);
  return node;
}
