// A finding's picture: the crop with boxes drawn over it in the crop's pixels, or the label line where there is none.

import { count, DATA, F } from "./data.js";
import { el, svg } from "./dom.js";

/** A path relative to this page as an address: a folder may be called "50% #2". */
const addressOf = (path) => path.split("/").map(encodeURIComponent).join("/");

/** The picture of a finding as a node: figure.picture. */
export function picture(i, large = false) {
  const frame = el("div", { class: "picture" });
  if (F.crop[i] === null) {
    frame.classList.add("text-only");
    frame.append(F.row[i] === null ? el("p", {}, F.about[i] ?? "No picture belongs to this finding.") : quotedRow(i));
    return frame;
  }
  frame.append(stageOf(F.crop[i], `Part of ${F.image[i] ?? "the image"} around the finding`, overlay(i), large));
  return frame;
}

/** The other image of a finding about two, as a whole, with the boxes of its label file. */
export function twinPicture(name, large = false) {
  const { crop, width, height, others, about } = DATA.twins[name];
  if (crop === null) return el("div", { class: "picture text-only" }, el("p", {}, about ?? "This image has no picture."));
  const layer = drawing({ severity: "info", width, height, others, shape: null, points: [] });
  return el("div", { class: "picture" }, stageOf(crop, `The image ${name}`, layer, large));
}

/** A picture with its drawing, as it stands in a frame. Where the file is missing, the frame says so. */
export function stageOf(crop, alt, layer, large = false) {
  const image = el("img", { src: addressOf(crop), alt, loading: large ? null : "lazy", decoding: "async", draggable: "false" });
  const stage = el("div", { class: "stage" }, image, layer);
  image.addEventListener("error", () => {
    const frame = stage.parentElement;
    frame.classList.add("text-only");
    frame.replaceChildren(el("p", {}, `The picture ${crop} is not beside this page. Move page and folder together.`));
  });
  return stage;
}

function overlay(i) {
  return drawing({ severity: F.severity[i], width: F.crop_w[i], height: F.crop_h[i], others: F.others[i], shape: F.shape[i], points: keypoints(i) });
}

/** Boxes over a picture, in its pixels: others, and the one that matters with its keypoints. */
export function drawing({ severity, width, height, others, shape, points }) {
  const layer = svg("svg", { class: `overlay ${severity}`, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const [x, y, w, h] of others ?? []) {
    const box = { x, y, width: w, height: h };
    layer.append(svg("rect", { class: "other-casing", ...box }), svg("rect", { class: "other", ...box }));
  }
  if (!shape || !shape.length) return layer;
  const corners = shape.map((point) => point.join(",")).join(" ");
  layer.append(svg("polygon", { class: "casing", points: corners }), svg("polygon", { class: "offender", points: corners }), ...points);
  const xs = shape.map((point) => point[0]);
  const ys = shape.map((point) => point[1]);
  const extent = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  // A box of two pixels hides under its own outline: a ring says where to look.
  if (extent < 0.05 * Math.max(width, height)) {
    const ring = { cx: (Math.max(...xs) + Math.min(...xs)) / 2, cy: (Math.max(...ys) + Math.min(...ys)) / 2, r: 0.07 * Math.max(width, height) };
    layer.append(svg("circle", { class: "casing", ...ring }), svg("circle", { class: "offender ring", ...ring }));
  }
  return layer;
}

/** Keypoints as dots that keep their size on screen (lines of no length with round ends); visibility 0 is not labelled. */
function keypoints(i) {
  return (F.points[i] ?? []).filter(([, , visibility]) => visibility !== 0).flatMap(([x, y, visibility]) => {
    const d = `M${x} ${y}h0`;
    const hidden = visibility === 1 ? " hidden-point" : "";
    return [svg("path", { class: "casing keypoint", d }), svg("path", { class: `offender keypoint${hidden}`, d })];
  });
}

/** The label line as it stands in the file, with its number; the token that the column points at is marked. */
export function quotedRow(i) {
  const code = el("code", { class: "row", tabindex: "-1" }, el("span", { class: "line-number" }, count(F.line[i] ?? 1).replaceAll(",", "")));
  const characters = Array.from(F.row[i]);
  const start = F.column[i] === null ? -1 : F.column[i] - 1;
  if (start < 0 || start >= characters.length) {
    code.append(el("span", { class: "row-text" }, F.row[i]));
    return code;
  }
  let end = start;
  while (end < characters.length && !/\s/.test(characters[end])) end++;
  code.append(el("span", { class: "row-text" }, characters.slice(0, start).join(""),
    el("mark", {}, characters.slice(start, Math.max(end, start + 1)).join("")), characters.slice(Math.max(end, start + 1)).join("")));
  return code;
}
