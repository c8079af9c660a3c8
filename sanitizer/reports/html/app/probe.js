// The section of the gradient probe: its charts, the selected step or image, and the table of images.

import { baseName, brief, plural } from "./data.js";
import { button, byId, el, icon } from "./dom.js";
import { view } from "./filters.js";
import { MEASURED, percent, PROBE, stepsWith } from "./probe_data.js";
import { clearPick, isPicked, pick, pickImage } from "./probe_selection.js";
import { paintPicked, pointChart } from "./probe_chart.js";
import { stripOfStep, viewOfImage } from "./probe_strip.js";
import { rankedTable } from "./probe_table.js";

let stepChart = null;
let imageChart = null;

export function showPicked() {
  const picked = view.images;
  stepChart.picked = picked?.kind === "step" ? picked.at : null;
  stepChart.related = picked?.kind === "image" ? stepsWith(picked.at) : [];
  imageChart.picked = picked?.kind === "image" && picked.at < MEASURED ? picked.at : null;
  imageChart.related = picked?.kind === "step" ? PROBE.steps.images[picked.at].filter((at) => at < MEASURED) : [];
  for (const chart of [stepChart, imageChart]) paintPicked(chart);
  for (const node of byId("probe").querySelectorAll(".ranked-pick")) {
    node.setAttribute("aria-pressed", String(isPicked("image", Number(node.dataset.image))));
  }
  const area = byId("probe-picked");
  area.hidden = picked === null;
  area.replaceChildren(...(picked ? pickedNodes(picked) : []));
}

function pickedNodes({ kind, at }) {
  const clear = button({ class: "button" }, icon("close"), "Clear the selection");
  clear.addEventListener("click", () => {
    clearPick();
    (kind === "step" ? stepChart : imageChart).plot.focus({ preventScroll: true });
  });
  const [title, ...about] = kind === "step" ? stepSays(at) : [PROBE.names[at]];
  return [el("div", { class: "picked-head" }, el("h3", { title }, title), el("p", { class: "meta" }, about.join(" · ")), clear),
    ...(kind === "step" ? stripOfStep(at) : viewOfImage(at))];
}

function stepSays(at) {
  const S = PROBE.steps;
  const norm = S.grad_norm[at];
  return [`Step ${S.step[at]}${S.spike[at] ? ": spike" : ""}`,
    norm === null ? "gradient norm not finite" : `gradient norm ${brief(norm)}`,
    S.loss[at] === null ? null : `loss ${brief(S.loss[at])}`,
    S.skipped[at] ? "step skipped" : S.clip_coefficient[at] === null || S.clip_coefficient[at] >= 1 ? "not clipped" : `clipped to ${percent(S.clip_coefficient[at])}`,
    S.lr[at] === null ? null : `learning rate ${brief(S.lr[at])}`,
    plural(S.images[at].length, "image")].filter((part) => part !== null);
}

function imageSays(at) {
  const I = PROBE.images;
  return [baseName(PROBE.names[at]), plural(I.boxes[at], "box", "boxes"),
    I.grad_norm[at] === null ? "gradient norm not finite" : `gradient norm ${brief(I.grad_norm[at])}`,
    I.norm_z[at] === null ? null : `${brief(I.norm_z[at])} z against images with as many boxes`].filter((part) => part !== null);
}

/** Whole numbers from low to high, at most `most`; even steps of 1, 2 or 5 times a power of ten. */
function wholeTicks(low, high, most) {
  const least = Math.max(1, (high - low) / most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => Math.ceil(factor * power)).find((wide) => wide >= least);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}

function curveChart() {
  const S = PROBE.steps;
  return pointChart({ title: "Warm-up: gradient norm before clipping, by step", hint: "probe-keys", n: S.step.length, isCurve: true,
    x: (at) => S.step[at], y: (at) => S.grad_norm[at], isSpike: (at) => S.spike[at] === 1, scaleX: (value) => value, limit: PROBE.limit,
    ticksX: (most) => wholeTicks(S.step[0], S.step.at(-1), most), titleX: "step of the warm-up", says: stepSays, pick: (at) => pick("step", at) });
}

function scatterChart() {
  const I = PROBE.images;
  const [fewest, most] = I.boxes.reduce(([low, high], n) => [Math.min(low, n), Math.max(high, n)], [Infinity, 0]);
  const decades = [0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].filter((n) => n >= fewest && n <= most);
  return pointChart({ title: "Measuring: gradient norm of each image, by number of boxes", hint: "probe-keys", n: MEASURED, isCurve: false,
    x: (at) => I.boxes[at], y: (at) => I.grad_norm[at], isSpike: (at) => I.spike[at] === 1, scaleX: Math.log1p, limit: null,
    ticksX: () => (decades.length > 2 ? decades : wholeTicks(fewest, most, 6)), titleX: "boxes in the image", says: imageSays, pick: pickImage });
}

function summaryOfProbe() {
  const steps = PROBE.steps.spike.filter(Boolean).length;
  const images = PROBE.images.spike.filter(Boolean).length;
  const at = PROBE.imgsz === null ? "" : ` at ${PROBE.imgsz} px`;
  const verb = (n) => (n === 1 ? "spikes" : "spike");
  const spikes = steps || images
    ? `${plural(steps, "step")} and ${plural(images, "image")} ${images === 1 && steps === 0 ? verb(1) : "spike"}: ${brief(PROBE.z)} robust standard deviations or more over what is usual.`
    : "No step and no image spikes.";
  return `${plural(PROBE.steps.step.length, "warm-up step")}, then ${plural(MEASURED, "image")} measured one by one${at}. ${spikes}`;
}

function figureOf(chart, title, nothing) {
  return el("figure", { class: "plot" }, el("figcaption", {}, title), chart.n ? chart.plot : el("p", { class: "meta" }, nothing));
}

export function startProbe() {
  stepChart = curveChart();
  imageChart = scatterChart();
  const section = el("section", { class: "panel probe", id: "probe", "aria-labelledby": "probe-title" },
    el("div", { class: "plots-head" }, el("h2", { id: "probe-title" }, "Gradient probe"),
      el("p", { class: "legend" }, el("span", {}, el("span", { class: "key spike-key" }), "spike"),
        el("span", {}, el("span", { class: "key picked-key" }), "selected, or in the selected step"))),
    el("p", { class: "probe-summary" }, summaryOfProbe()),
    el("div", { class: "probe-charts" },
      figureOf(stepChart, "Warm-up: gradient norm before clipping", "No step was made."),
      figureOf(imageChart, "Measuring: one point an image", "No image was measured.")),
    el("p", { class: "meta", id: "probe-keys" }, "Click a point to see its images. With the keyboard: arrow keys go from point to point, Page Up and Page Down between spikes, Enter selects, Esc clears."),
    el("div", { class: "picked", id: "probe-picked", hidden: true, role: "region", "aria-label": "Selected in the probe" }),
    ...(PROBE.first.length ? [el("h3", { class: "ranked-title" }, "Look at these first"), ...rankedTable()] : []));
  section.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !view.images) return;
    event.stopPropagation();
    clearPick();
    if (!section.contains(document.activeElement)) stepChart.plot.focus({ preventScroll: true });
  });
  byId("findings").before(section);
}
