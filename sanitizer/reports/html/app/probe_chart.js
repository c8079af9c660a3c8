// A chart of points on a logarithmic axis. One point is selected by pointer, or by the keyboard.

import { brief, count } from "./data.js";
import { el, svg } from "./dom.js";
import { ticks } from "./plots.js";

const CHART = { height: 256, left: 52, right: 18, top: 22, bottom: 44, reach: 24 };
const ABOVE = 9; // px over the plot: where points stand whose value is not finite

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const tickText = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? brief(value) : compact.format(value));

/**
 * A chart. The specification: `title`, `hint` (id of a text on its keys), `x` and `y` (number of a point to its
 * values; y null where not finite), `n`, `isSpike`, `scaleX` (value to a linear one), `ticksX`, `titleX`, `isCurve`
 * (joined by a line, and hovered by x alone), `limit` (a y to mark, or null), `says` (what a point is, lines of text),
 * `pick` (what a click does).
 */
export function pointChart(spec) {
  const plot = el("div", { class: "chart", tabindex: "0", role: "slider", "aria-label": spec.title, "aria-describedby": spec.hint,
    "aria-valuemin": "1", "aria-valuemax": spec.n });
  const chart = { ...spec, plot, tip: el("div", { class: "chart-tip", hidden: true, "aria-hidden": "true" }), picked: null, related: [], xs: [], ys: [] };
  const points = Array.from({ length: spec.n }, (_, at) => at);
  chart.order = points.sort((a, b) => spec.x(a) - spec.x(b) || (spec.y(a) ?? Infinity) - (spec.y(b) ?? Infinity) || a - b);
  const spikes = chart.order.filter(spec.isSpike);
  chart.current = spikes.length ? chart.order.indexOf(spikes[0]) : 0;
  listen(chart);
  new ResizeObserver(() => drawChart(chart)).observe(plot);
  return chart;
}

function listen(chart) {
  const { plot } = chart;
  plot.addEventListener("pointermove", (event) => point(chart, nearest(chart, event)));
  plot.addEventListener("pointerleave", () => point(chart, null));
  plot.addEventListener("click", (event) => {
    const at = nearest(chart, event);
    if (at === null) return;
    chart.current = chart.order.indexOf(at);
    chart.pick(at);
  });
  plot.addEventListener("focus", () => plot.matches(":focus-visible") && point(chart, chart.order[chart.current]));
  plot.addEventListener("blur", () => point(chart, null));
  plot.addEventListener("keydown", (event) => {
    const action = chartKey(chart, event.key);
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
}

function chartKey(chart, key) {
  const go = (to) => () => {
    chart.current = Math.max(0, Math.min(chart.n - 1, to));
    point(chart, chart.order[chart.current]);
  };
  const spike = (step) => () => {
    for (let to = chart.current + step; to >= 0 && to < chart.n; to += step) if (chart.isSpike(chart.order[to])) return go(to)();
  };
  return {
    ArrowRight: go(chart.current + 1), ArrowUp: go(chart.current + 1), ArrowLeft: go(chart.current - 1), ArrowDown: go(chart.current - 1),
    Home: go(0), End: go(chart.n - 1), PageDown: spike(1), PageUp: spike(-1),
    Enter: () => chart.pick(chart.order[chart.current]), " ": () => chart.pick(chart.order[chart.current]),
  }[key] ?? null;
}

/** The point under the pointer: the nearest within reach, of a curve the one at that x. */
function nearest(chart, event) {
  const area = chart.plot.getBoundingClientRect();
  const [x, y] = [event.clientX - area.left, event.clientY - area.top];
  let [found, least] = [null, chart.isCurve ? Infinity : CHART.reach ** 2];
  for (let at = 0; at < chart.n; at++) {
    const far = (chart.xs[at] - x) ** 2 + (chart.isCurve ? 0 : (chart.ys[at] - y) ** 2);
    if (far < least) [found, least] = [at, far];
  }
  return found;
}

/** Show a point's numbers beside it; null hides them. */
function point(chart, at) {
  chart.tip.hidden = at === null;
  chart.hover?.setAttribute("visibility", at === null ? "hidden" : "visible");
  if (at === null || !chart.hover) return;
  const [first, ...rest] = chart.says(at);
  chart.plot.setAttribute("aria-valuenow", chart.order.indexOf(at) + 1);
  chart.plot.setAttribute("aria-valuetext", [first, ...rest].join(", "));
  chart.hover.setAttribute("cx", chart.xs[at]);
  chart.hover.setAttribute("cy", chart.ys[at]);
  chart.tip.replaceChildren(el("b", {}, first), el("span", {}, rest.join(" · ")));
  const { offsetWidth, offsetHeight } = chart.tip;
  const left = Math.max(0, Math.min(chart.plot.clientWidth - offsetWidth, chart.xs[at] - offsetWidth / 2));
  const above = chart.ys[at] - offsetHeight - 14;
  chart.tip.style.transform = `translate(${left}px, ${above < -40 ? chart.ys[at] + 14 : above}px)`;
}

/** Range of the finite values, a little wider, in logarithms. */
function logRange(chart) {
  const known = chart.limit === null ? [] : [chart.limit];
  for (let at = 0; at < chart.n; at++) if (chart.y(at) > 0) known.push(chart.y(at));
  if (!known.length) return [Math.log(0.1), Math.log(10)];
  const logs = known.map(Math.log);
  const [low, high] = [logs.reduce((a, b) => Math.min(a, b)), logs.reduce((a, b) => Math.max(a, b))];
  const room = Math.max(0.06 * (high - low), 0.08);
  return [low - room, high + room];
}

function drawChart(chart) {
  const width = chart.plot.clientWidth;
  if (!width || !chart.n) return;
  const inner = { width: width - CHART.left - CHART.right, height: CHART.height - CHART.top - CHART.bottom };
  const ends = [chart.x(chart.order[0]), chart.x(chart.order.at(-1))].map(chart.scaleX);
  const [low, high] = logRange(chart);
  const x = (value) => CHART.left + (ends[1] > ends[0] ? (chart.scaleX(value) - ends[0]) / (ends[1] - ends[0]) : 0.5) * inner.width;
  const y = (value) => (value === null ? CHART.top - ABOVE : CHART.top + inner.height * Math.min(1, (high - Math.log(Math.max(value, 1e-300))) / (high - low)));
  for (let at = 0; at < chart.n; at++) [chart.xs[at], chart.ys[at]] = [x(chart.x(at)), y(chart.y(at))];
  chart.hover = svg("circle", { class: "chart-hover", r: 7, visibility: "hidden" });
  chart.layer = svg("g", {});
  const layer = svg("svg", { width, height: CHART.height, viewBox: `0 0 ${width} ${CHART.height}`, "aria-hidden": "true" },
    ...axes(chart, { x, y, low, high, width, inner }), ...marks(chart), chart.hover);
  chart.plot.replaceChildren(layer, chart.tip);
  chart.tip.hidden = true;
  paintPicked(chart);
}

/** Round numbers on the logarithmic axis; finer ones where it spans less than a decade or so. */
function normTicks(low, high) {
  const round = ticks(low, high, true);
  if (round.length > 2) return round;
  const power = 10 ** Math.floor(Math.log10(low));
  const finer = [1, 10].flatMap((decade) => [1, 1.5, 2, 3, 4, 5, 6, 8].map((step) => Number((step * decade * power).toPrecision(6))));
  const inside = finer.filter((value) => value >= low && value <= high);
  return inside.length > 1 ? inside : ticks(low, high, false);
}

function axes(chart, { x, y, low, high, width, inner }) {
  const bottom = CHART.top + inner.height;
  const rows = normTicks(Math.exp(low), Math.exp(high)).flatMap((value) => [
    svg("line", { class: "rule", x1: CHART.left, x2: width - CHART.right, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: CHART.left - 7, y: y(value) + 3.5, "text-anchor": "end" }, tickText(value))]);
  const columns = chart.ticksX(Math.max(2, Math.floor(inner.width / 70))).flatMap((value) => [
    svg("line", { class: "rule", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 }),
    svg("text", { class: "tick", x: x(value), y: bottom + 16, "text-anchor": "middle" }, count(value))]);
  const line = chart.limit === null ? [] : [
    svg("line", { class: "limit", x1: CHART.left, x2: width - CHART.right, y1: y(chart.limit), y2: y(chart.limit) }),
    svg("text", { class: "tick limit-text", x: width - CHART.right, y: y(chart.limit) - 5, "text-anchor": "end" }, `spike from ${tickText(chart.limit)}`)];
  const hasLane = Array.from({ length: chart.n }, (_, at) => chart.y(at)).includes(null);
  const lane = hasLane ? [svg("text", { class: "tick", x: CHART.left - 7, y: y(null) + 3.5, "text-anchor": "end" }, "not finite")] : [];
  return [...rows, ...lane, svg("line", { class: "rule", x1: CHART.left, x2: width - CHART.right, y1: bottom, y2: bottom }), ...columns, ...line,
    svg("text", { class: "axis", x: CHART.left + inner.width / 2, y: CHART.height - 8, "text-anchor": "middle" }, chart.titleX),
    svg("text", { class: "axis", "text-anchor": "middle", transform: `translate(11 ${CHART.top + inner.height / 2}) rotate(-90)` }, "gradient norm, log scale")];
}

/** Curve, ordinary points, what is picked, spikes: one path each, however many points there are. */
function marks(chart) {
  const [dots, spikes] = [[], []];
  let curve = "";
  let broken = true;
  for (let at = 0; at < chart.n; at++) {
    (chart.isSpike(at) ? spikes : dots).push(at);
    if (!chart.isCurve) continue;
    const finite = chart.y(at) !== null;
    if (finite) curve += `${broken ? "M" : "L"}${chart.xs[at].toFixed(1)} ${chart.ys[at].toFixed(1)}`;
    broken = !finite;
  }
  return [chart.isCurve ? svg("path", { class: "curve", d: curve }) : null,
    // A curve of hundreds of steps is its own mark.
    chart.isCurve && chart.n > 150 ? null : svg("path", { class: "dots", d: dotted(chart, dots) }),
    chart.layer, svg("path", { class: "spikes", d: spikes.map((at) => `M${chart.xs[at].toFixed(1)} ${(chart.ys[at] - 6).toFixed(1)}l5.5 10h-11z`).join("") }),
  ].filter(Boolean);
}

const dotted = (chart, points) => points.map((at) => `M${chart.xs[at].toFixed(1)} ${chart.ys[at].toFixed(1)}h0`).join("");

/** Rings around the picked point, dots on those that belong to it. */
export function paintPicked(chart) {
  chart.plot.classList.toggle("has-picked", chart.picked !== null || chart.related.length > 0);
  if (!chart.layer) return;
  const ring = chart.picked === null ? [] : [svg("circle", { class: "chart-picked", r: 8, cx: chart.xs[chart.picked], cy: chart.ys[chart.picked] })];
  const [spikes, others] = [chart.related.filter(chart.isSpike), chart.related.filter((at) => !chart.isSpike(at))];
  chart.layer.replaceChildren(svg("path", { class: "related", d: dotted(chart, others) }),
    svg("path", { class: "related around-spike", d: dotted(chart, spikes) }), ...ring);
}
