// What is selected in the probe: its images as thumbnails, with the label line that has the largest share drawn in.

import { baseName, brief, count, F } from "./data.js";
import { button, byId, el, svg } from "./dom.js";
import { drawing, picture, stageOf } from "./picture.js";
import {
  findingsOfImage, lineOf, lineText, MEASURED, percent, PROBE, reasonsOf, stepsWith,
} from "./probe_data.js";
import { pickImage } from "./probe_selection.js";

const STRIP_TILES = 24;

/** Whole image with its line; else a finding's crop; else words. `by` is how the line is chosen: "score" or "share". */
export function probePicture(at, by, withCross) {
  const name = PROBE.names[at];
  const made = PROBE.thumbnails[at];
  if (made && made.crop !== null) {
    const shape = made.shapes[lineOf(at, by)?.[0]] ?? null;
    const layer = drawing({ severity: "warning", width: made.width, height: made.height, others: made.others, shape, points: [] });
    if (!shape || withCross) layer.append(...cross(at, made));
    return el("div", { class: "picture" }, stageOf(made.crop, name, layer));
  }
  const flagged = (findingsOfImage.get(name) ?? []).find((i) => F.crop[i] !== null);
  if (flagged !== undefined) return picture(flagged);
  return el("div", { class: "picture text-only" }, el("p", {}, made?.about ?? "Only images that stand out have a thumbnail."));
}

/** A cross at the place in the background with the largest share of the gradient. */
function cross(at, { width, height }) {
  const spot = at < MEASURED ? PROBE.images.background[at] : null;
  if (!spot) return [];
  const [x, y, r] = [spot[0] * width, spot[1] * height, 0.06 * Math.max(width, height)];
  const d = `M${x - r} ${y - r}l${2 * r} ${2 * r}M${x - r} ${y + r}l${2 * r} ${-2 * r}`;
  return [svg("path", { class: "casing", d }), svg("path", { class: "offender cross", d })];
}

function stripTile(at) {
  const name = PROBE.names[at];
  const open = button({ class: "tile-open", "aria-label": `Select ${name}` }, probePicture(at, "share", false));
  open.addEventListener("click", () => {
    pickImage(at);
    byId("probe-picked").querySelector("button").focus({ preventScroll: true }); // the tile is gone
  });
  const norm = at < MEASURED ? PROBE.images.grad_norm[at] : null;
  return el("li", { class: at < MEASURED && PROBE.images.spike[at] ? "tile spiking" : "tile" }, open,
    el("p", { class: "tile-name", title: name }, baseName(name)),
    el("p", { class: "meta" }, lineText(at, "share")),
    el("p", { class: "meta" }, at >= MEASURED ? "" : norm === null ? "gradient not finite" : `gradient ${brief(norm)}`));
}

/** Images of a step, the largest gradient first; those that were not measured last. */
function imagesOfStep(at) {
  const norm = (image) => (image < MEASURED ? PROBE.images.grad_norm[image] ?? Infinity : -1);
  return [...PROBE.steps.images[at]].sort((a, b) => norm(b) - norm(a) || a - b);
}

export function stripOfStep(at) {
  const images = imagesOfStep(at);
  if (!images.length) return [el("p", { class: "meta" }, "The report does not say which images were in this step.")];
  const list = el("ol", { class: "strip", tabindex: "0", "aria-label": "Images of the step" }, ...images.slice(0, STRIP_TILES).map(stripTile));
  if (images.length > STRIP_TILES) {
    const more = button({ class: "button" }, `Show all ${count(images.length)}`);
    more.addEventListener("click", () => {
      more.parentElement.replaceWith(...images.slice(STRIP_TILES).map(stripTile));
      list.children[STRIP_TILES].querySelector("button").focus();
    });
    list.append(el("li", { class: "tile-more" }, more));
  }
  return [list, el("p", { class: "meta" }, "Largest gradient first. The box is the label line with the largest share of the gradient; a cross, where no line has any, is the place in the background.")];
}

/** One image: larger, with what the probe says of it. */
export function viewOfImage(at) {
  const reasons = reasonsOf(at);
  return [el("div", { class: "picked-image" }, probePicture(at, "score", true),
    el("div", { class: "picked-text" },
      reasons.length ? el("ul", { class: "sentences" }, ...reasons.map((parts) => el("li", {}, ...parts))) : el("p", {}, "Nothing in what was measured is out of the ordinary."),
      factsOfImage(at),
      el("p", { class: "meta" }, "The box is the label line that the model agrees with least, if any stands out; the cross is the place in the background with the largest share of the gradient.")))];
}

function factsOfImage(at) {
  const I = PROBE.images;
  const value = (name) => (at < MEASURED ? I[name][at] : null);
  const numberOf = (name, as = brief) => (value(name) === null ? null : as(value(name)));
  const losses = ["box_loss", "cls_loss", "dfl_loss"].filter((name) => value(name) !== null).map((name) => `${name.slice(0, 3)} ${brief(value(name))}`);
  const rows = [["Boxes", numberOf("boxes", count)], ["Gradient norm", numberOf("grad_norm")],
    ["Against images with as many boxes", numberOf("norm_z", (z) => `${brief(z)} z`)],
    ["Share of its batch's gradient", numberOf("share", percent)], ["Share through background", numberOf("background_share", percent)],
    ["Loss", losses.length ? losses.join(", ") : null],
    ["Line that stands out", lineOf(at, "score") ? lineText(at, "score") : null],
    ["Line with the largest share", lineOf(at, "share") ? lineText(at, "share") : null],
    ["Warm-up steps with it", stepsWith(at).length ? stepsWith(at).map((step) => PROBE.steps.step[step]).slice(0, 12).join(", ") : null],
    ["Findings", count((findingsOfImage.get(PROBE.names[at]) ?? []).length)]];
  return el("dl", { class: "facts" }, ...rows.filter(([, text]) => text !== null).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}
