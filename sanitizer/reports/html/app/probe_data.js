// What the gradient probe measured, read only. An image is its index in the names of the probe.

import { brief, DATA, F, N, ruleName } from "./data.js";
import { el } from "./dom.js";

export const PROBE = DATA.probe;
export const MEASURED = PROBE.images.label.length; // names beyond these are of images that only a step names

/** Findings by the image they are about. */
export const findingsOfImage = (() => {
  const byImage = new Map();
  for (let i = 0; i < N; i++) {
    if (F.image[i] === null) continue;
    const known = byImage.get(F.image[i]);
    if (known) known.push(i);
    else byImage.set(F.image[i], [i]);
  }
  return byImage;
})();

/** Warm-up steps that an image was in. */
export function stepsWith(at) {
  const found = [];
  PROBE.steps.images.forEach((images, step) => images.includes(at) && found.push(step));
  return found;
}

/** [line, its score or share, the probability that it is wrong if known], or null where no line stands out. */
export const lineOf = (at, by) => (at < MEASURED ? PROBE.images[`line_by_${by}`][at] : null);

export function lineText(at, by) {
  const line = lineOf(at, by);
  if (line !== null && by === "score") return `line ${line[0]} · ${line.length > 2 ? `${percent(line[2])} likely wrong` : `${brief(line[1])} z`}`;
  if (line !== null) return `line ${line[0]} · ${percent(line[1])} of its batch`;
  if (at >= MEASURED) return "not measured";
  return PROBE.images.background[at] ? "background" : "no line stands out";
}

export const percent = (share) => `${brief(Number((100 * share).toPrecision(2)))} %`;

/** Why an image stands out: lists of nodes and text. */
export function reasonsOf(at) {
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
