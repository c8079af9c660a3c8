// The gallery: of thousands of findings only the cards in sight, and a few around them, are in the document.

import { N, offered, whyNotOffered } from "./data.js";
import { grouped } from "./groups.js";
import { button, byId, el, toast } from "./dom.js";
import { decide, decisionListeners, haveDecision, setComment } from "./decisions.js";
import { clearFilters, FACETS, view } from "./filters.js";
import { card, paintDecision } from "./card.js";

const CARD = { height: 500, gap: 16, narrowest: 282 };
const OVERSCAN_ROWS = 2;
const TALLEST = 15_000_000; // px; browsers cut off taller elements (Firefox at 17.9 million)

export const gallery = byId("gallery");
export const cards = new Map(); // position in the list -> card
export let shown = []; // findings that pass the filters
export let groups = []; // the findings of each card: a position in the list is an index in these
export let active = 0;
export let grid = { columns: 1, width: 300, top: 0, rows: 0 };
let framePending = false;

function measure() {
  const width = gallery.clientWidth;
  const columns = Math.max(1, Math.floor((width + CARD.gap) / (CARD.narrowest + CARD.gap)));
  const rows = Math.ceil(groups.length / columns);
  const full = rows * (CARD.height + CARD.gap);
  gallery.style.height = `${Math.min(full, TALLEST)}px`;
  const top = gallery.getBoundingClientRect().top + scrollY;
  grid = { columns, rows, width: (width - (columns - 1) * CARD.gap) / columns, top, full };
}

/** Depth in the list, in px of all its rows, where the page is scrolled by `scrolled` px into the gallery. */
function depthAt(scrolled) {
  if (grid.full <= TALLEST) return scrolled;
  return Math.max(0, scrolled) * ((grid.full - innerHeight) / (TALLEST - innerHeight));
}

function scrolledAt(depth) {
  return grid.full <= TALLEST ? depth : depth * ((TALLEST - innerHeight) / (grid.full - innerHeight));
}

function renderGallery() {
  framePending = false;
  const scrolled = scrollY - grid.top;
  const depth = Math.max(0, depthAt(scrolled)); // above the gallery, its first cards are drawn
  const pitch = CARD.height + CARD.gap;
  const first = Math.max(0, Math.floor(depth / pitch) - OVERSCAN_ROWS);
  const last = Math.min(grid.rows - 1, Math.floor((depth + innerHeight) / pitch) + OVERSCAN_ROWS);
  const wanted = new Set();
  for (let at = first * grid.columns; at < Math.min(groups.length, (last + 1) * grid.columns); at++) wanted.add(at);
  const held = document.activeElement?.closest?.(".card");
  if (held && cards.get(Number(held.dataset.position)) === held) wanted.add(Number(held.dataset.position));
  for (const [at, node] of cards) {
    if (wanted.has(at)) continue;
    node.remove();
    cards.delete(at);
  }
  let before = gallery.firstElementChild;
  for (const at of [...wanted].sort((a, b) => a - b)) {
    let node = cards.get(at);
    if (node) before = node.nextElementSibling;
    else {
      node = card(groups[at], at, groups.length);
      cards.set(at, node);
      gallery.insertBefore(node, before);
    }
    const y = Math.floor(at / grid.columns) * pitch - depth + (grid.full <= TALLEST ? depth : Math.max(scrolled, 0));
    node.style.width = `${grid.width}px`;
    node.style.transform = `translate(${(at % grid.columns) * (grid.width + CARD.gap)}px, ${y}px)`;
    node.tabIndex = at === active ? 0 : -1;
    node.classList.toggle("active", at === active);
  }
}

function scheduleRender() {
  if (framePending) return;
  framePending = true;
  requestAnimationFrame(renderGallery);
}

function relayout() {
  measure();
  renderGallery();
}

/** Put a new list of findings into the gallery. */
export function showList(indexes) {
  shown = indexes;
  groups = grouped(indexes);
  active = 0;
  const intoList = gallery.getBoundingClientRect().top < coveredHeight();
  for (const node of cards.values()) node.remove();
  cards.clear();
  byId("empty").hidden = shown.length > 0;
  byId("empty").replaceChildren(...emptyText());
  relayout();
  if (intoList) scrollTo({ top: grid.top - coveredHeight(), behavior: "instant" }); // a new list is read from its start
}

/** px at the top of the window that bar and toolbar cover. */
function coveredHeight() {
  return byId("toolbar").offsetHeight + document.querySelector(".bar").offsetHeight + 12;
}

function emptyText() {
  if (N === 0) return [el("p", {}, el("b", {}, "No findings."), " Nothing here needs a decision.")];
  const clear = button({ class: "button" }, "Clear all filters");
  clear.addEventListener("click", clearFilters);
  const alone = view.images && !view.text && !FACETS.some((facet) => view.facets.get(facet.name).size);
  return [el("p", {}, alone ? "No finding is about what is selected." : "No finding passes these filters."), clear];
}

/** Make a card the current one: scroll it into sight, and focus it. */
export function activate(position, focus = true) {
  if (!groups.length) return;
  active = Math.max(0, Math.min(groups.length - 1, position));
  const pitch = CARD.height + CARD.gap;
  const covered = coveredHeight();
  const depth = Math.floor(active / grid.columns) * pitch;
  const visibleFrom = depthAt(scrollY - grid.top) + covered;
  const visibleTo = visibleFrom - covered + innerHeight;
  if (depth < visibleFrom) scrollTo({ top: grid.top + scrolledAt(depth) - covered, behavior: "instant" });
  else if (depth + pitch > visibleTo) {
    const low = Math.min(depth + pitch - innerHeight, depth - covered);
    scrollTo({ top: grid.top + scrolledAt(low), behavior: "instant" });
  }
  renderGallery();
  if (focus) cards.get(active)?.focus({ preventScroll: true });
}

/** Start the gallery; `openCard` opens the card at a position of the list large. */
export function startGallery(openCard) {
  addEventListener("scroll", scheduleRender, { passive: true });
  new ResizeObserver(relayout).observe(gallery.parentElement);
  // What stands above the gallery may grow or fold, which moves it.
  new ResizeObserver(relayout).observe(document.querySelector("main"));
  gallery.addEventListener("focusin", (event) => {
    const node = event.target.closest(".card");
    if (!node) return;
    active = Number(node.dataset.position);
    for (const [at, other] of cards) {
      other.classList.toggle("active", at === active);
      other.tabIndex = at === active ? 0 : -1;
    }
  });
  gallery.addEventListener("click", (event) => {
    const node = event.target.closest(".card");
    if (!node) return;
    const choice = event.target.closest("[data-decide]");
    if (choice) toggleDecision(membersOfCard(node), choice.dataset.decide);
    else if (event.target.closest(".open")) openCard(Number(node.dataset.position));
  });
  gallery.addEventListener("change", (event) => {
    if (event.target.matches(".comment")) setComment(membersOfCard(event.target.closest(".card")), event.target.value);
  });
  decisionListeners.push(() => {
    for (const [at, node] of cards) paintDecision(node, groups[at]);
  });
}

const membersOfCard = (node) => groups[Number(node.dataset.position)];

/** Decide findings of one card, or say why that is not possible for any. Returns whether any has that decision now. */
export function settle(members, decision) {
  if (decision !== null && !members.some((i) => offered(i, decision))) {
    toast(`${whyNotOffered(decision)}.`);
    return false;
  }
  decide(members, decision);
  return true;
}

/** What a click on a decision does: the same one again takes it back. */
export function toggleDecision(members, decision) {
  settle(members, haveDecision(members, decision) ? null : decision);
}
