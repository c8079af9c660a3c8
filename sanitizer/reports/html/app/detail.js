// The large view of one card: its picture, why its gravest finding matters, what training does with it, and the decision.

import { brief, className, count, F, place, plural, ruleName, RULES, siblings } from "./data.js";
import { button, byId, copyButton, el, icon, severityMark } from "./dom.js";
import { decisionListeners, setComment } from "./decisions.js";
import { quotedRow } from "./picture.js";
import { decisionControls, leadOf, paintControls, paintDecision, picturesOf } from "./card.js";
import { activate, groups, toggleDecision } from "./gallery.js";

export const detail = byId("detail");
export let detailAt = null; // position in the list, or null while closed

export function openDetail(position) {
  detailAt = position;
  const held = document.activeElement?.ariaLabel;
  drawDetail();
  if (!detail.open) {
    detail.showModal();
    fitStage(); // the sizes are known from here on
  }
  // The same button again, so that Enter on "Next" goes on; else the view as a whole.
  const again = [...detail.querySelectorAll("button:enabled")].find((node) => held && node.ariaLabel === held);
  (again ?? detail).focus();
}

export function moveDetail(step) {
  const to = detailAt + step;
  if (to < 0 || to >= groups.length) return;
  openDetail(to);
}

function drawDetail() {
  const members = groups[detailAt];
  const i = leadOf(members);
  const rule = RULES.get(F.rule[i]);
  const stage = picturesOf(members, i, true);
  const hasPicture = F.crop[i] !== null;
  detail.replaceChildren(
    el("header", {}, severityMark(F.severity[i]),
      el("h2", { id: "detail-title" }, el("code", {}, F.rule[i]), " ", ruleName(F.rule[i])),
      el("span", { class: "meta" }, `${count(detailAt + 1)} of ${count(groups.length)}`),
      headButton("previous", "Previous (k)", () => moveDetail(-1), detailAt === 0),
      headButton("next", "Next (j)", () => moveDetail(1), detailAt === groups.length - 1),
      headButton("boxes", "Hide or show the boxes (b)", toggleBoxes, !hasPicture),
      headButton("zoom", "Zoom (z)", () => toggleZoom(), !hasPicture),
      headButton("close", "Close (Esc)", () => detail.close(), false)),
    el("div", { class: "detail-body" }, stage, el("div", { class: "detail-text" }, ...explanation(members, i, rule))),
    el("footer", {}, decisionControls(members),
      commentField("Comment"),
      el("p", { class: "conflict", hidden: true })));
  for (const drawn of stage.querySelectorAll(".stage")) drawn.addEventListener("click", (event) => toggleZoom(event));
  fitStage();
  paintDetail();
}

const commentField = (label) => el("textarea", { class: "comment", rows: "1", placeholder: "Comment", "aria-label": label, maxlength: "1000" });

function headButton(name, label, action, disabled) {
  const node = button({ class: "button square", "aria-label": label, title: label }, icon(name));
  node.disabled = disabled;
  node.addEventListener("click", action);
  return node;
}

function explanation(members, i, rule) {
  const paragraph = (title, text) => (text ? [el("h3", {}, title), el("p", {}, text)] : []);
  return [
    el("p", { class: "message" }, F.message[i]),
    el("p", { class: "place full" }, place(i), " ", copyButton(place(i), "Copy the place")),
    F.row[i] === null || F.crop[i] === null ? null : quotedRow(i),
    F.about[i] === null ? null : el("p", { class: "about" }, F.about[i]),
    ...paragraph("What to do", F.suggestion[i]),
    ...paragraph("Why it matters", rule?.why),
    ...paragraph("What training does", rule?.training),
    ...repair(i),
    ...together(members),
    ...relatives(members, i),
    facts(i),
  ].filter(Boolean);
}

function repair(i) {
  if (F.fix[i] === "safe") return [el("h3", {}, "Automatic repair"), el("p", {}, "Safe: a plain sanitize fix does it too.")];
  if (F.fix[i] === null) return [];
  return [el("h3", {}, "Automatic repair"), el("p", {}, "It removes or reinterprets the box, so it is done only where somebody decides so.")];
}

/** All findings of a card of several, each with a decision and a comment of its own. */
function together(members) {
  if (members.length === 1) return [];
  return [el("h3", {}, `${plural(members.length, "finding")} here`), el("ul", { class: "together" }, ...members.map((i) =>
    el("li", { class: F.severity[i], "data-finding": i }, el("p", {}, icon(F.severity[i], F.severity[i]), el("code", {}, F.rule[i]), ` ${F.message[i]}`),
      decisionControls([i]), commentField(`Comment on ${F.rule[i]}`))))];
}

function paintDetail() {
  paintDecision(detail, groups[detailAt]);
  for (const item of detail.querySelectorAll("[data-finding]")) paintControls(item, membersAt(item));
}

/** The findings that a control is about: one of the list, or all of the card. */
function membersAt(node) {
  const one = node.closest("[data-finding]");
  return one ? [Number(one.dataset.finding)] : groups[detailAt];
}

function relatives(members, i) {
  const others = siblings(i).filter((other) => !members.includes(other)).slice(0, 8);
  if (!others.length) return [];
  return [el("h3", {}, "Also about this row, left out by the filters"), el("ul", { class: "relatives" },
    ...others.map((other) => el("li", {}, el("code", {}, F.rule[other]), ` ${F.message[other]}`)))];
}

function facts(i) {
  const rows = [["Image", F.image[i]], ["Split", F.split[i]],
    ["Class", F.class_id[i] === null && F.class_name[i] === null ? null : `${F.class_id[i] ?? ""} ${className(i)}`.trim()],
    ["Centre", pair(F.x_center[i], F.y_center[i], ", ")], ["Size", pair(F.width[i], F.height[i], " × ")],
    ["Value", F.value[i] === null ? null : brief(F.value[i])], ["Limit", F.threshold[i] === null ? null : brief(F.threshold[i])],
    ["Fingerprint", F.fingerprint[i]]];
  return el("dl", { class: "facts" }, ...rows.filter(([, value]) => value !== null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

const pair = (a, b, between) => (a === null || b === null ? null : `${brief(a)}${between}${brief(b)}`);

/** Give each picture the largest size that fits, so that the drawn boxes stay at their pixels. */
function fitStage() {
  for (const stage of detail.querySelectorAll(".stage")) {
    const frame = stage.parentElement;
    if (!frame.clientWidth) continue;
    const { width, height } = stage.querySelector(".overlay").viewBox.baseVal;
    const fit = Math.min(frame.clientWidth / width, frame.clientHeight / height);
    const scale = frame.classList.contains("zoomed") ? Math.max(4, fit * 3) : fit;
    stage.style.width = `${width * scale}px`;
    stage.style.height = `${height * scale}px`;
  }
}

/** Switch between whole crops and a close look at the box, or at the point that was clicked; twins go together. */
export function toggleZoom(event = null) {
  const stages = [...detail.querySelectorAll(".stage")];
  if (!stages.length) return;
  const at = event ? shareOf(event.currentTarget, event) : centreOf(leadOf(groups[detailAt]));
  for (const stage of stages) stage.parentElement.classList.toggle("zoomed");
  fitStage();
  for (const stage of stages) {
    const frame = stage.parentElement;
    if (!frame.classList.contains("zoomed")) continue;
    frame.scrollLeft = at.x * stage.offsetWidth - frame.clientWidth / 2;
    frame.scrollTop = at.y * stage.offsetHeight - frame.clientHeight / 2;
  }
}

function shareOf(stage, event) {
  const area = stage.getBoundingClientRect();
  return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height };
}

function centreOf(i) {
  const points = F.shape[i];
  if (!points?.length) return { x: 0.5, y: 0.5 };
  const middle = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  return { x: middle(0) / F.crop_w[i], y: middle(1) / F.crop_h[i] };
}

export function toggleBoxes() {
  document.body.classList.toggle("bare");
}

export function startDetail() {
  detail.addEventListener("click", (event) => {
    if (event.target === detail) detail.close(); // the backdrop
    const choice = event.target.closest("[data-decide]");
    if (choice) toggleDecision(membersAt(choice), choice.dataset.decide);
  });
  detail.addEventListener("change", (event) => {
    if (event.target.matches(".comment")) setComment(membersAt(event.target), event.target.value);
  });
  detail.addEventListener("close", () => {
    const position = detailAt;
    detailAt = null;
    detail.replaceChildren();
    activate(position);
  });
  addEventListener("resize", () => detail.open && fitStage());
  decisionListeners.push(() => detail.open && paintDetail());
}
