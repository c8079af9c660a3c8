// The top of the page: the dataset in numbers, what training would do, and bars that are filters too.

import { count, DATA, N, plural, ruleName, RULES, SEVERITIES } from "./data.js";
import { button, byId, calmly, el, icon, withCode } from "./dom.js";
import { compareText, facetLabel, FACETS, NONE, toggleFacet, valueOf, view } from "./filters.js";

const BARS_SHOWN = 10;

function showOverview() {
  document.title = `${DATA.title} · sanitize`;
  byId("bar-title").textContent = DATA.title;
  byId("title").textContent = DATA.title;
  const boxes = DATA.task === "detect" ? plural(DATA.boxes, "box", "boxes") : plural(DATA.boxes, "object");
  byId("counts").textContent = `${plural(DATA.images, "image")}, ${plural(DATA.labels, "label file")}, ${boxes}`;
  byId("meta").textContent = `Task ${DATA.task} · ${DATA.created} · ${DATA.tool} · ${DATA.root}`;
  byId("verdict").hidden = DATA.verdict === null;
  byId("verdict").textContent = DATA.verdict;
  byId("totals").append(...SEVERITIES.map(totalTile));
  listOrHide("sentences", DATA.sentences.length ? DATA.sentences : ["Nothing out of the ordinary: it would use every image and row as it is."]);
  listOrHide("notes", DATA.notes);
  byId("notes-panel").hidden = DATA.notes.length === 0;
  byId("charts").hidden = N === 0;
  byId("fix-command").textContent = "sanitize fix DATA.yaml --decisions DECISIONS.csv";
}

function listOrHide(id, sentences) {
  byId(id).append(...sentences.map((sentence) => el("li", {}, ...withCode(sentence))));
}

function totalTile(severity) {
  const n = DATA.severities[severity] ?? 0;
  const noun = severity === "info" ? "info" : n === 1 ? severity : `${severity}s`;
  const tile = button({ class: `total ${severity}`, "aria-pressed": "false", "data-facet": "severity", "data-value": severity },
    icon(severity), el("b", {}, count(n)), el("span", {}, noun));
  tile.disabled = n === 0;
  return tile;
}

/** Rows of a bar chart; each toggles its filter. */
function bars(list, facet, rows) {
  const most = Math.max(1, ...rows.map((row) => row.n));
  const items = rows.map((row, at) => {
    const line = button({ class: `bar-row ${row.severity ?? ""}`, "aria-pressed": "false", "data-facet": facet, "data-value": row.value },
      el("span", { class: "bar-name" }, ...row.name), el("span", { class: "bar-track" }, el("span", { class: "bar-fill" })),
      el("span", { class: "bar-number" }, count(row.n), row.aside ? el("small", {}, row.aside) : null));
    line.querySelector(".bar-fill").style.width = `${(100 * row.n) / most}%`;
    return el("li", { hidden: at >= BARS_SHOWN }, line);
  });
  list.replaceChildren(...items);
  if (items.length > BARS_SHOWN) {
    const more = button({ class: "more" }, `Show all ${count(items.length)}`);
    more.addEventListener("click", () => {
      for (const item of items) item.hidden = false;
      more.parentElement.remove();
      items[BARS_SHOWN].querySelector("button").focus();
    });
    list.append(el("li", {}, more));
  }
}

export function startOverview() {
  showOverview();
  const tally = (name) => {
    const facet = FACETS.find((f) => f.name === name);
    const found = new Map();
    for (let i = 0; i < N; i++) found.set(valueOf(facet, i), (found.get(valueOf(facet, i)) ?? 0) + 1);
    return [...found].sort((a, b) => b[1] - a[1] || compareText(a[0], b[0]));
  };
  bars(byId("rule-bars"), "rule", tally("rule").map(([code, n]) => {
    const severity = RULES.get(code)?.severity ?? "warning";
    return { value: code, n, severity, name: [icon(severity, severity), el("code", {}, code), " ", ruleName(code)] };
  }));
  const known = new Map(DATA.classes.map((c) => [String(c.id), c]));
  const ofClasses = tally("class").filter(([id]) => id !== NONE); // most rules on files and images are about none
  byId("class-bars").parentElement.hidden = ofClasses.length === 0;
  bars(byId("class-bars"), "class", ofClasses.map(([id, n]) => ({
    value: id, n, name: [facetLabel("class", id)],
    aside: known.get(id)?.boxes ? ` in ${plural(known.get(id).boxes, "box", "boxes")}` : null,
  })));
  for (const area of [byId("totals"), byId("charts")]) {
    area.addEventListener("click", (event) => {
      const source = event.target.closest("[data-facet]");
      if (source) pressFacet(source);
    });
  }
}

/** What a click on a button of a facet does: it filters by it, and goes to the findings. */
export function pressFacet(node) {
  toggleFacet(node.dataset.facet, node.dataset.value);
  if (node.getAttribute("aria-pressed") === "true") byId("findings").scrollIntoView({ behavior: calmly() });
}

export function showPressed() {
  for (const node of document.querySelectorAll("[data-facet]")) {
    node.setAttribute("aria-pressed", String(view.facets.get(node.dataset.facet).has(node.dataset.value)));
  }
}
