// "Look at these first": the images that rank highest, and why, in plain words.

const RANKED_SHOWN = 8;
const REASONS_SHOWN = 3;

/** Why an image stands out: lists of nodes and text. */
function reasonsOf(at) {
  if (at >= MEASURED) return [];
  const I = PROBE.images;
  const said = [];
  if (I.not_finite[at] === "amp") said.push(["its loss is not finite in half precision (AMP), and is in float32"]);
  else if (I.not_finite[at]) said.push([`its ${I.not_finite[at]} is not finite: a step with it is lost`]);
  if (I.norm_z[at] >= PROBE.z) said.push(["its gradient is far larger than is usual for its number of boxes ", zMark(brief(I.norm_z[at]))]);
  return [...said, ...I.reasons[at].map(reasonNodes)];
}

/** A phrase of the report: codes of the scan with their rules' names, z-scores set apart. */
function reasonNodes(reason) {
  if (reason.startsWith("scan: ")) {
    const codes = reason.slice(6).split(", ");
    return ["the scan found ", ...codes.flatMap((code, at) => [at ? ", " : "", el("code", {}, code), ruleName(code) ? ` ${ruleName(code)}` : ""])];
  }
  const scored = /^(.*) \((-?[\d.]+) z\)$/s.exec(reason);
  return scored ? [`${scored[1]} `, zMark(scored[2])] : [reason];
}

const zMark = (z) => el("span", { class: "z", title: "robust standard deviations from what is usual in this dataset" }, `${z} z`);

function rankedTable() {
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
  const pick = button({ class: "ranked-pick", "data-image": at, "aria-pressed": "false" },
    el("span", { class: "ranked-picture" }, probePicture(at, "score", false)),
    el("span", { class: "ranked-name", title: name }, baseName(name)));
  pick.addEventListener("click", () => pickImage(at));
  const reasons = reasonsOf(at);
  return el("tr", {}, el("td", { class: "rank" }, String(position + 1)), el("td", { class: "ranked-image" }, pick),
    el("td", {}, el("ul", { class: "reasons" }, ...reasons.slice(0, REASONS_SHOWN).map((parts) => el("li", {}, ...parts)),
      reasons.length > REASONS_SHOWN ? el("li", { class: "z" }, `and ${reasons.length - REASONS_SHOWN} more`) : null)),
    el("td", { class: "right" }, brief(PROBE.images.score[at])),
    el("td", { class: "right" }, count((findingsOfImage.get(name) ?? []).length)));
}
