// "Look at these first": the images that rank highest, and why, in plain words.

import { baseName, brief, count } from "./data.js";
import { button, el } from "./dom.js";
import { findingsOfImage, PROBE, reasonsOf } from "./probe_data.js";
import { pickImage } from "./probe_selection.js";
import { probePicture } from "./probe_strip.js";

const RANKED_SHOWN = 8;
const REASONS_SHOWN = 3;

export function rankedTable() {
  const body = el("tbody", {});
  const rows = PROBE.first.map((at, position) => rankedRow(at, position));
  rows.forEach((row, position) => (row.hidden = position >= RANKED_SHOWN));
  body.append(...rows);
  const table = el("table", { class: "ranked" },
    el("thead", {}, el("tr", {}, ...["", "Image", "Why", "Score", "Findings"].map((title, at) =>
      el("th", { scope: "col", class: at > 2 ? "right" : null }, title)))), body);
  if (rows.length <= RANKED_SHOWN) return [table];
  const more = button({ class: "more" }, `Show all ${count(rows.length)}`);
  more.addEventListener("click", () => {
    for (const row of rows) row.hidden = false;
    more.remove();
    rows[RANKED_SHOWN].querySelector("button").focus();
  });
  return [table, more];
}

function rankedRow(at, position) {
  const name = PROBE.names[at];
  const open = button({ class: "ranked-pick", "data-image": at, "aria-pressed": "false" },
    el("span", { class: "ranked-picture" }, probePicture(at, "score", false)),
    el("span", { class: "ranked-name", title: name }, baseName(name)));
  open.addEventListener("click", () => pickImage(at));
  const reasons = reasonsOf(at);
  return el("tr", {}, el("td", { class: "rank" }, String(position + 1)), el("td", { class: "ranked-image" }, open),
    el("td", {}, el("ul", { class: "reasons" }, ...reasons.slice(0, REASONS_SHOWN).map((parts) => el("li", {}, ...parts)),
      reasons.length > REASONS_SHOWN ? el("li", { class: "z" }, `and ${reasons.length - REASONS_SHOWN} more`) : null)),
    el("td", { class: "right" }, brief(PROBE.images.score[at])),
    el("td", { class: "right" }, count((findingsOfImage.get(name) ?? []).length)));
}
