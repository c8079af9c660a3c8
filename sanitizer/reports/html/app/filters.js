// Which findings are shown and in what order; the page's address holds it too, so that a view can be bookmarked.

import { className, DATA, F, N, place, ruleName, SEVERITIES } from "./data.js";
import { commentOf, decisionOf } from "./decisions.js";

export const NONE = ""; // stands for "no class", "no split", "no cause"
export const FACETS = [
  ...(DATA.causes.length ? [{ name: "cause", title: "Cause", of: (i) => F.cause[i] ?? NONE }] : []),
  { name: "severity", title: "Severity", of: (i) => F.severity[i] },
  { name: "rule", title: "Rule", of: (i) => F.rule[i] },
  { name: "class", title: "Class", of: (i) => (F.class_id[i] === null ? NONE : String(F.class_id[i])) },
  { name: "split", title: "Split", of: (i) => F.split[i] ?? NONE },
  { name: "decision", title: "Decision", of: (i) => decisionOf(i) ?? "undecided" },
];
const SORTS = ["report", "severity", "image", "high", "low"];
export const view = { facets: new Map(FACETS.map((facet) => [facet.name, new Set()])), text: "", sort: "report", images: null };
// `images` narrows the list to findings of some images: { parameter: [name, value] in the address, label, names: Set }.
export const viewListeners = [];

/** Facet values that do not change, computed once. */
const FIXED = new Map(FACETS.filter((f) => f.name !== "decision").map((f) => [f.name, Array.from({ length: N }, (_, i) => f.of(i))]));
export const valueOf = (facet, i) => (FIXED.has(facet.name) ? FIXED.get(facet.name)[i] : facet.of(i));

const CAUSE_NAMES = new Map([[NONE, "without a cause"], ...DATA.causes.map((cause) => [cause.id, cause.name || cause.id])]);
export const CLASS_NAMES = new Map([[NONE, "no class"], ...DATA.classes.map((c) => [String(c.id), c.name])]);

/** What a facet's value is called. */
export function facetLabel(name, value) {
  if (name === "rule") return `${value} ${ruleName(value)}`;
  if (name === "cause") return CAUSE_NAMES.get(value) ?? value;
  if (name === "class") return CLASS_NAMES.get(value) ?? `class ${value}`;
  return value === NONE ? "no split" : value;
}

let haystack = null;

function searchable() {
  haystack ??= Array.from({ length: N }, (_, i) =>
    [F.rule[i], ruleName(F.rule[i]), place(i), F.image[i], className(i), F.message[i], F.suggestion[i], F.row[i]]
      .join("\n").toLowerCase());
  return haystack;
}

/** A test on findings: they are about one of the images. */
function imageFilter() {
  const names = view.images?.names;
  return names ? (i) => names.has(F.image[i]) || names.has(F.label[i]) : () => true;
}

/** A test on findings: all words of the search occur in it, in whatever order. */
function textFilter() {
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return () => true;
  const texts = searchable();
  return (i) => words.every((word) => texts[i].includes(word) || commentOf(i).toLowerCase().includes(word));
}

/** { shown: indexes in order, counts: per facet, value to number of findings under all other filters }. */
export function select() {
  const [matches, isOfImages] = [textFilter(), imageFilter()];
  const wanted = FACETS.map((facet) => view.facets.get(facet.name));
  const counts = new Map(FACETS.map((facet) => [facet.name, new Map()]));
  const indexes = [];
  for (let i = 0; i < N; i++) {
    if (!matches(i) || !isOfImages(i)) continue;
    let failing = -1;
    let failures = 0;
    const values = FACETS.map((facet, at) => {
      const value = valueOf(facet, i);
      if (wanted[at].size && !wanted[at].has(value)) {
        failures++;
        failing = at;
      }
      return value;
    });
    if (!failures) indexes.push(i);
    if (failures > 1) continue;
    FACETS.forEach((facet, at) => {
      if (failures && at !== failing) return;
      const tally = counts.get(facet.name);
      tally.set(values[at], (tally.get(values[at]) ?? 0) + 1);
    });
  }
  return { shown: sorted(indexes), counts };
}

function sorted(indexes) {
  const compare = {
    severity: (a, b) => SEVERITIES.indexOf(F.severity[a]) - SEVERITIES.indexOf(F.severity[b]),
    image: (a, b) => compareText(F.image[a] ?? F.label[a] ?? "", F.image[b] ?? F.label[b] ?? ""),
    high: (a, b) => compareValue(F.value[a], F.value[b], -1),
    low: (a, b) => compareValue(F.value[a], F.value[b], 1),
  }[view.sort];
  return compare ? indexes.sort((a, b) => compare(a, b) || a - b) : indexes;
}

export const compareText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Findings without a value come last, in both directions of sorting. */
function compareValue(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (a - b);
}

/** Whether a finding still passes the filter on decisions; it may have been decided since the list was made. */
export function stillShown(i) {
  const wanted = view.facets.get("decision");
  return !wanted.size || wanted.has(decisionOf(i) ?? "undecided");
}

export const isFiltered = () => Boolean(view.text || view.images) || FACETS.some((facet) => view.facets.get(facet.name).size);

export function toggleFacet(name, value) {
  const chosen = view.facets.get(name);
  if (!chosen.delete(value)) chosen.add(value);
  viewChanged();
}

function forgetFilters() {
  for (const chosen of view.facets.values()) chosen.clear();
  view.text = "";
  view.images = null;
}

export function clearFilters() {
  forgetFilters();
  viewChanged();
}

/** Show all findings of some rules, whatever was filtered before. */
export function showRules(codes) {
  forgetFilters();
  for (const code of codes) view.facets.get("rule").add(code);
  viewChanged();
}

export function viewChanged() {
  const hash = hashOfView();
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    location.hash = hash; // some browsers refuse to rewrite the address of local files
  }
  for (const listener of viewListeners) listener();
}

function hashOfView() {
  const parameters = new URLSearchParams();
  for (const [name, chosen] of view.facets) for (const value of chosen) parameters.append(name, value);
  if (view.text) parameters.set("q", view.text);
  if (view.images) parameters.set(...view.images.parameter);
  if (view.sort !== "report") parameters.set("sort", view.sort);
  return parameters.toString();
}

/** Set the filters from the page's address; `imagesOf` finds in its parameters which images the probe selects. */
export function viewFromHash(imagesOf) {
  const parameters = new URLSearchParams(location.hash.slice(1));
  for (const [name, chosen] of view.facets) {
    chosen.clear();
    for (const value of parameters.getAll(name)) chosen.add(value);
  }
  view.text = parameters.get("q") ?? "";
  view.images = imagesOf(parameters);
  view.sort = SORTS.includes(parameters.get("sort")) ? parameters.get("sort") : "report";
}
