// Elements are made by createElement and filled with text alone: no name in a dataset can become markup.

export const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** An HTML element; children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; children are nodes or text. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const icon = (name, label = null) =>
  svg("svg", label ? { class: "icon", role: "img", "aria-label": label } : { class: "icon", "aria-hidden": "true" },
    svg("use", { href: `#icon-${name}` }));

export function button(attributes, ...children) {
  return el("button", { type: "button", ...attributes }, ...children);
}

/** How the page scrolls by itself: at once where the system asks for less motion. */
export const calmly = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");

export function severityMark(severity) {
  return el("span", { class: `severity ${severity}` }, icon(severity), severity);
}

/** A sentence as nodes: what stands between backticks is a command. */
export function withCode(sentence) {
  return sentence.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));
}

/** What settles something, with a button that copies the command: the first one between backticks, where none is given. */
export function wayOut(sentence, command = sentence.split("`")[1] ?? null) {
  return el("div", { class: "way-out" }, el("p", {}, ...withCode(sentence)), command === null ? null : copyButton(command, "Copy the command"));
}

/** A button that copies a text. */
export function copyButton(text, label) {
  const node = button({ class: "copy", "aria-label": label, title: label }, icon("copy"));
  node.addEventListener("click", () => copyText(text));
  return node;
}

/** Copy a text, without the clipboard's API where the browser refuses it to local files. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "sr" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(`Copied ${text}`);
}

let toastTimer = 0;

/** Says something for a few seconds; screen readers hear it too. */
export function toast(text) {
  const node = byId("toast");
  // Text behind an open dialog is neither seen nor read out.
  (document.querySelector("dialog[open]") ?? document.body).append(node);
  node.textContent = text;
  node.classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => node.classList.remove("on"), 5000);
}

export function storageGet(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Whether the text was stored: a browser may refuse storage to local files, or its storage may be full. */
export function storageSet(key, text) {
  try {
    localStorage.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
