// The step or image that is selected in the probe. The gallery shows only the findings of its images.

import { byId, calmly } from "./dom.js";
import { view, viewChanged } from "./filters.js";
import { MEASURED, PROBE } from "./probe_data.js";

function namesOf(images) {
  return new Set(images.flatMap((at) => [PROBE.names[at], at < MEASURED ? PROBE.images.label[at] : null]).filter((name) => name !== null));
}

function viewOfPickedStep(at) {
  const step = String(PROBE.steps.step[at]);
  return { kind: "step", at, parameter: ["step", step], label: `images of warm-up step ${step}`, names: namesOf(PROBE.steps.images[at]) };
}

function viewOfPickedImage(at) {
  return { kind: "image", at, parameter: ["image", PROBE.names[at]], label: PROBE.names[at], names: namesOf([at]) };
}

/** The selection that the page's address names; null where it names no step and no image of this report. */
export function pickFrom(parameters) {
  const step = parameters.has("step") ? PROBE.steps.step.indexOf(Number(parameters.get("step"))) : -1;
  if (step >= 0) return viewOfPickedStep(step);
  const image = parameters.has("image") ? PROBE.names.indexOf(parameters.get("image")) : -1;
  return image >= 0 ? viewOfPickedImage(image) : null;
}

export const isPicked = (kind, at) => view.images?.kind === kind && view.images.at === at;

/** Select a step or an image; the same one again clears the selection. */
export function pick(kind, at) {
  view.images = isPicked(kind, at) ? null : kind === "step" ? viewOfPickedStep(at) : viewOfPickedImage(at);
  viewChanged();
  if (view.images) byId("probe-picked").scrollIntoView({ block: "nearest", behavior: calmly() });
}

export const pickImage = (at) => pick("image", at);

export function clearPick() {
  view.images = null;
  viewChanged();
}
