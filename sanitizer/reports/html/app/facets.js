// The controls of the filters: lists with live counts, and a chip for each filter in use.

import { count, DECISIONS, N, ruleName, SEVERITIES } from "./data.js";
import { button, byId, el, icon, severityMark } from "./dom.js";
import {
  clearFilters, compareText, facetLabel, FACETS, isFiltered, toggleFacet, valueOf, view, viewChanged,
} from "./filters.js";

const FACET_ROWS = 200; // a dataset may name a thousand classes; beyond these, the search finds them

/** All values a facet has in this report, most frequent first (severities and decisions in their own order). */
const FACET_VALUES = new Map(FACETS.map((facet) => {
  if (facet.name === "severity") return [facet.name, SEVERITIES];
  if (facet.name === "decision") return [facet.name, ["undecided", ...DECISIONS]];
  const tally = new Map();
  for (let i = 0; i < N; i++) tally.set(valueOf(facet, i), (tally.get(valueOf(facet, i)) ?? 0) + 1);
  return [facet.name, [...tally].sort((a, b) => b[1] - a[1] || compareText(a[0], b[0])).map(([value]) => value)];
}));

const facetInputs = new Map(); // facet name -> value -> { input, number }

export function buildFacets() {
  for (const facet of FACETS) {
    const values = FACET_VALUES.get(facet.name);
    const rows = new Map();
    const list = el("div", { class: "facet-list" });
    for (const value of values.slice(0, FACET_ROWS)) {
      const input = el("input", { type: "checkbox", name: facet.name, value });
      const number = el("span", { class: "number" });
      input.addEventListener("change", () => toggleFacet(facet.name, value));
      list.append(el("label", { class: "facet", title: facetLabel(facet.name, value) }, input, facetMark(facet.name, value), number));
      rows.set(value, { input, number });
    }
    facetInputs.set(facet.name, rows);
    const beyond = values.length - FACET_ROWS;
    byId("facets").append(el("fieldset", { class: "facet-group" }, el("legend", {}, facet.title), list,
      beyond > 0 ? el("p", { class: "meta" }, `and ${count(beyond)} more: search for their names`) : null));
  }
  byId("clear").addEventListener("click", clearFilters);
}

function facetMark(name, value) {
  if (name === "severity") return severityMark(value);
  if (name === "rule") return el("span", { class: "facet-name" }, el("code", {}, value), " ", ruleName(value));
  if (name === "decision" && DECISIONS.includes(value)) return el("span", { class: `facet-name ${value}` }, icon(value), value);
  return el("span", { class: "facet-name" }, facetLabel(name, value));
}

export function showFacets(counts) {
  for (const [name, rows] of facetInputs) {
    for (const [value, { input, number }] of rows) {
      const n = counts.get(name).get(value) ?? 0;
      input.checked = view.facets.get(name).has(value);
      number.textContent = count(n);
      input.parentElement.classList.toggle("none", n === 0 && !input.checked);
    }
  }
  byId("clear").hidden = !isFiltered();
  showChips();
}

function showChips() {
  const chips = [];
  for (const [name, chosen] of view.facets) {
    for (const value of chosen) chips.push(chip(facetLabel(name, value), () => toggleFacet(name, value)));
  }
  if (view.text) chips.push(chip(`“${view.text}”`, () => {
    view.text = "";
    viewChanged();
  }));
  if (view.images) chips.push(chip(view.images.label, () => {
    view.images = null;
    viewChanged();
  }));
  byId("chips").replaceChildren(...chips);
}

function chip(text, remove) {
  const node = button({ class: "chip", "aria-label": `Remove the filter ${text}` }, el("span", {}, text), icon("close"));
  node.addEventListener("click", remove);
  return node;
}
