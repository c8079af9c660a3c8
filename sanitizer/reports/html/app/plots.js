// Histograms and the heatmap, drawn as SVG from counts that the report carries.

import { brief, count, DATA, plural, ruleName, RULES } from "./data.js";
import { byId, el, svg } from "./dom.js";
import { CLASS_NAMES } from "./filters.js";

const PLOT = { width: 420, height: 230, left: 46, right: 12, top: 10, bottom: 42 };
const INNER = { width: PLOT.width - PLOT.left - PLOT.right, height: PLOT.height - PLOT.top - PLOT.bottom };
const GRID_SIDE = 250;

function total(perClass, length) {
  const sum = new Array(length).fill(0);
  for (const counts of Object.values(perClass)) counts.forEach((n, at) => (sum[at] += n));
  return sum;
}

/** Counts of the chosen class, or of all; zeros where the plot knows none. */
function boxesIn(plot, chosen, length) {
  if (chosen === "all") return total(plot.classes, length);
  return Object.hasOwn(plot.classes, chosen) ? plot.classes[chosen] : new Array(length).fill(0);
}

/** Counts of the boxes that the chosen rule flags; null where none is chosen. */
function flaggedIn(plot, rule, length) {
  if (rule === "none") return null;
  return Object.hasOwn(plot.rules, rule) ? plot.rules[rule] : new Array(length).fill(0);
}

function drawPlots() {
  const chosenClass = byId("plot-class").value;
  const chosenRule = byId("plot-rule").value;
  const figures = [];
  for (const plot of [DATA.plots.aspect, DATA.plots.size]) {
    if (!plot) continue;
    const length = plot.edges.length - 1;
    figures.push(histogram(plot, boxesIn(plot, chosenClass, length), flaggedIn(plot, chosenRule, length)));
  }
  const position = DATA.plots.position;
  if (position) {
    const length = position.grid ** 2;
    figures.push(heatmap(position, boxesIn(position, chosenClass, length), flaggedIn(position, chosenRule, length)));
  }
  byId("plot-row").replaceChildren(...figures);
  byId("plot-legend").replaceChildren(
    legendKey("boxes", chosenClass === "all" ? "all boxes" : `boxes of ${CLASS_NAMES.get(chosenClass) ?? chosenClass}`),
    ...(chosenRule === "none" ? [] : [
      legendKey("flagged", `flagged by ${chosenRule} ${ruleName(chosenRule)}${chosenClass === "all" ? "" : ", of any class"}`)]));
}

const legendKey = (kind, text) => el("span", {}, el("span", { class: `key ${kind}` }), text);

/** Round numbers to mark on an axis from low to high: decades with 2 and 5, or even steps. */
export function ticks(low, high, log, fine = false) {
  if (!log) {
    const step = 10 ** Math.floor(Math.log10((high - low) / 2 || 1));
    const wide = (high - low) / step > 8 ? step * 5 : (high - low) / step > 5 ? step * 2 : step;
    const found = [];
    for (let n = Math.ceil(low / wide); n * wide <= high * (1 + 1e-9); n++) found.push(n * wide);
    return found;
  }
  const decades = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) decades.push(p);
  const steps = fine ? [1, 1.5, 2, 3, 4, 5, 7] : decades.length > 4 ? [1] : [1, 2, 5];
  const found = decades.flatMap((p) => steps.map((s) => Number((s * 10 ** p).toPrecision(6))));
  const inside = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return inside.length > 9 ? inside.filter((_, at) => at % 2 === 0) : inside;
}

/** Round numbers to mark; edges of the bins where fewer than three round numbers lie between them. */
function marksOf(edges, log) {
  const coarse = ticks(edges[0], edges.at(-1), log);
  const round = coarse.length < 3 ? ticks(edges[0], edges.at(-1), log, true) : coarse;
  return round.length < 3 ? edges.filter((_, at) => at % Math.ceil(edges.length / 8) === 0) : round;
}

function histogram(plot, boxes, flagged) {
  const { edges, log } = plot;
  const low = edges[0];
  const high = edges.at(-1);
  const scale = log ? Math.log : (value) => value;
  const x = (value) => PLOT.left + (INNER.width * (scale(value) - scale(low))) / (scale(high) - scale(low));
  const top = Math.max(1, ...boxes, ...(flagged ?? []));
  // Three flagged boxes among thousands must be visible, so the axis of counts is logarithmic.
  const y = (n) => PLOT.top + INNER.height * (1 - Math.log1p(n) / Math.log1p(top));
  const bar = (kind) => (n, at) => n === 0 ? null : svg("rect", {
    class: kind, x: x(edges[at]) + 0.5, width: Math.max(1, x(edges[at + 1]) - x(edges[at]) - 1),
    y: y(n), height: PLOT.top + INNER.height - y(n),
  }, svg("title", {}, `${between(plot, at)}: ${kind === "boxes" ? plural(n, "box", "boxes") : `${count(n)} flagged`}`));
  const frame = svg("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": summaryOf(plot, boxes, flagged) });
  frame.append(...countAxis(top, y), ...marksOf(edges, log).map((value) => xTick(x(value), inUnit(value, plot.unit))),
    ...boxes.map(bar("boxes")).filter(Boolean), ...(flagged ?? []).map(bar("flagged")).filter(Boolean),
    axisTitle(PLOT.left + INNER.width / 2, PLOT.height - 6, `${isRatio(plot.unit) ? "ratio" : plot.unit}${log ? ", log scale" : ""}`),
    verticalTitle("boxes, log scale"));
  return el("figure", { class: "plot" }, el("figcaption", {}, plot.title), frame);
}

const isRatio = (unit) => unit.startsWith(":");
const inUnit = (value, unit) => (isRatio(unit) ? brief(value) + unit : brief(value));

/** The range of one bin, with its unit. */
function between(plot, at) {
  const [from, to] = [plot.edges[at], plot.edges[at + 1]].map((value) => inUnit(value, plot.unit));
  return `${from} to ${to}${isRatio(plot.unit) ? "" : ` ${plot.unit}`}`;
}

function countAxis(top, y) {
  const marks = [0];
  for (let n = 1; n <= top; n *= 10) marks.push(n);
  if (marks.length < 4 && top > marks.at(-1) * 2) marks.push(top);
  return marks.flatMap((n) => [
    svg("line", { class: "rule", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: y(n), y2: y(n) }),
    svg("text", { class: "tick", x: PLOT.left - 6, y: y(n) + 3.5, "text-anchor": "end" }, n >= 1e4 ? `${n / 1e3}k` : count(n)),
  ]);
}

function xTick(x, text) {
  const bottom = PLOT.top + INNER.height;
  return svg("g", {}, svg("line", { class: "rule", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
    svg("text", { class: "tick", x, y: bottom + 16, "text-anchor": "middle" }, text));
}

const axisTitle = (x, y, text) => svg("text", { class: "axis", x, y, "text-anchor": "middle" }, text);
const verticalTitle = (text) => svg("text", { class: "axis", "text-anchor": "middle",
  transform: `translate(10 ${PLOT.top + INNER.height / 2}) rotate(-90)` }, text);

function summaryOf(plot, boxes, flagged) {
  const n = boxes.reduce((a, b) => a + b, 0);
  const most = boxes.indexOf(Math.max(...boxes));
  const flaggedText = flagged ? `; ${count(flagged.reduce((a, b) => a + b, 0))} flagged` : "";
  if (!plot.edges) return `${plot.title ?? "Position"}: where the centres of ${plural(n, "box", "boxes")} lie${flaggedText}`;
  return `${plot.title}: histogram of ${plural(n, "box", "boxes")}, most at ${between(plot, most)}${flaggedText}`;
}

/** Where box centres lie, the image stretched to a square: darker is more; circles are flagged boxes. */
function heatmap(position, boxes, flagged) {
  const side = position.grid;
  const cell = GRID_SIDE / side;
  const top = Math.max(1, ...boxes);
  const offset = { x: 34, y: 6 };
  const frame = svg("svg", { viewBox: `0 0 ${GRID_SIDE + 44} ${GRID_SIDE + 46}`, role: "img", class: "heat",
    "aria-label": summaryOf(position, boxes, flagged) });
  frame.append(svg("rect", { class: "heat-frame", x: offset.x, y: offset.y, width: GRID_SIDE, height: GRID_SIDE }));
  boxes.forEach((n, at) => {
    if (!n) return;
    const rect = svg("rect", { class: "heat-cell", x: offset.x + (at % side) * cell, y: offset.y + Math.floor(at / side) * cell,
      width: cell + 0.2, height: cell + 0.2, "fill-opacity": (0.1 + 0.9 * Math.log1p(n) / Math.log1p(top)).toFixed(3) },
    svg("title", {}, plural(n, "box", "boxes")));
    frame.append(rect);
  });
  (flagged ?? []).forEach((n, at) => {
    if (!n) return;
    frame.append(svg("circle", { class: "heat-flag", cx: offset.x + (at % side + 0.5) * cell, cy: offset.y + (Math.floor(at / side) + 0.5) * cell,
      r: Math.min(cell, 2 + Math.log2(n + 1)) }, svg("title", {}, `${count(n)} flagged`)));
  });
  for (const share of [0, 0.5, 1]) {
    frame.append(svg("text", { class: "tick", x: offset.x + share * GRID_SIDE, y: GRID_SIDE + 21, "text-anchor": "middle" }, String(share)),
      svg("text", { class: "tick", x: offset.x - 5, y: offset.y + share * GRID_SIDE + 4, "text-anchor": "end" }, String(share)));
  }
  frame.append(axisTitle(offset.x + GRID_SIDE / 2, GRID_SIDE + 40, "x of the centre, share of image width"),
    svg("text", { class: "axis", "text-anchor": "middle", transform: `translate(9 ${offset.y + GRID_SIDE / 2}) rotate(-90)` }, "y, share of height"));
  return el("figure", { class: "plot square" }, el("figcaption", {}, position.title ?? "Position of box centres"), frame);
}

export function startPlots() {
  if (!DATA.plots || !(DATA.plots.aspect || DATA.plots.size || DATA.plots.position)) {
    byId("plots").hidden = true;
    return;
  }
  const known = Object.values(DATA.plots).find(Boolean);
  const classes = DATA.classes.filter((c) => Object.hasOwn(known.classes, c.id));
  byId("plot-class").append(el("option", { value: "all" }, "all"),
    ...classes.map((c) => el("option", { value: c.id }, `${c.id} ${c.name}`)));
  const rules = Object.keys(known.rules).sort((a, b) => (RULES.get(b)?.count ?? 0) - (RULES.get(a)?.count ?? 0));
  byId("plot-rule").append(...rules.map((code) => el("option", { value: code }, `${code} ${ruleName(code)}`)),
    el("option", { value: "none" }, "nothing"));
  byId("plot-class").addEventListener("change", drawPlots);
  byId("plot-rule").addEventListener("change", drawPlots);
  drawPlots();
}
