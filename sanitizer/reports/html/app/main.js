// Starts the page and ties its parts together: list, toolbar, bulk decisions, keyboard.

import { count, DECISIONS, N, offered, plural } from "./data.js";
import { button, byId, el, icon, storageGet, storageSet, toast } from "./dom.js";
import { decide, decidedCount, decisionListeners, decisionOf, startDecisions, undoDecision } from "./decisions.js";
import { exportSheet, importSheet } from "./csv.js";
import { isFiltered, select, stillShown, view, viewChanged, viewFromHash, viewListeners } from "./filters.js";
import { buildFacets, showFacets } from "./facets.js";
import { startPlots } from "./plots.js";
import { showPressed, startOverview } from "./overview.js";
import { startCauses } from "./causes.js";
import { startPreflight } from "./preflight.js";
import { activate, active, cards, gallery, grid, groups, settle, showList, shown, startGallery } from "./gallery.js";
import { detail, detailAt, moveDetail, openDetail, startDetail, toggleBoxes, toggleZoom } from "./detail.js";

const KEYS = [
  [["j", "→"], "next finding"], [["k", "←"], "previous finding"], [["↓", "↑"], "a row of cards down, up"], [["Enter"], "open it large"],
  [["f"], "fix: the automatic repair"], [["d"], "drop: remove the row, or leave the image out"], [["e"], "keep the row as it is"],
  [["u"], "undecided again"], [["c"], "comment"], [["Ctrl Z"], "take the last decision back"], [["/"], "search"], [["b"], "hide or show the boxes"],
  [["z"], "zoom, in the large view"], [["Esc"], "close, or leave a field"], [["?"], "this help"],
];
const DECISION_KEYS = { f: "fix", d: "drop", e: "keep", u: null };
let probe = null; // startProbe, showPicked and pickFrom, where the report has a probe

function refresh() {
  const { shown: indexes, counts } = select();
  showFacets(counts);
  showPressed();
  probe?.showPicked();
  showList(indexes);
  byId("search").value = view.text;
  byId("sort").value = view.sort;
  byId("bulk").disabled = indexes.length === 0;
  showCounts();
}

function showCounts() {
  const gone = shown.filter((i) => !stillShown(i)).length;
  const text = isFiltered() ? `${count(shown.length)} of ${plural(N, "finding")}` : plural(N, "finding");
  byId("shown").replaceChildren(text);
  if (gone) {
    const update = button({ class: "link" }, `Take ${count(gone)} decided since off the list`);
    update.addEventListener("click", refresh);
    byId("shown").append(" · ", update);
  }
}

function showProgress() {
  const n = decidedCount();
  byId("progress-text").textContent = `${count(n)} of ${count(N)}`;
  byId("progress-done").style.width = `${N ? (100 * n) / N : 0}%`;
}

function startToolbar() {
  let typing = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      view.text = event.target.value.trim();
      const { value, selectionStart } = event.target;
      viewChanged();
      event.target.value = value;
      event.target.setSelectionRange(selectionStart, selectionStart);
    }, 120);
  });
  byId("sort").addEventListener("change", (event) => {
    view.sort = event.target.value;
    viewChanged();
  });
  byId("export").addEventListener("click", exportSheet);
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) toast(importSheet(await file.arrayBuffer()));
    event.target.value = "";
  });
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("findings").scrollIntoView();
    if (shown.length) activate(0);
  });
  byId("to-top").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the filters
    scrollTo({ top: 0 });
  });
  byId("help-open").addEventListener("click", openHelp);
  byId("keys").append(...KEYS.flatMap(([keys, text]) => [el("dt", {}, ...keys.map((key) => el("kbd", {}, key))), el("dd", {}, text)]));
}

function openHelp() {
  byId("help").showModal();
}

function startTheme() {
  const root = document.documentElement;
  const kept = storageGet("sanitize:theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    storageSet("sanitize:theme", root.dataset.theme);
  });
}

function startBulk() {
  const dialog = byId("bulk-dialog");
  const choices = byId("bulk-choices");
  for (const decision of [...DECISIONS, "undecided"]) {
    const input = el("input", { type: "radio", name: "bulk", value: decision });
    choices.append(el("label", { class: `bulk-choice ${decision}` }, input, icon(decision === "undecided" ? "undo" : decision), decision, el("span", { class: "number" })));
  }
  choices.addEventListener("change", showConsequence);
  byId("bulk").addEventListener("click", () => {
    byId("bulk-text").textContent = `Every finding in the list as it is filtered now: ${plural(shown.length, "finding")}.`;
    for (const input of choices.querySelectorAll("input")) {
      const n = shown.filter((i) => input.value === "undecided" || offered(i, input.value)).length;
      input.checked = false;
      input.disabled = n === 0;
      input.parentElement.querySelector(".number").textContent = n === shown.length ? "all" : `possible for ${count(n)}`;
    }
    showConsequence();
    dialog.showModal();
  });
  // Not the dialog's "close", which comes a moment later, when the list may have changed.
  dialog.querySelector("form").addEventListener("submit", (event) => {
    const chosen = bulkChoice();
    if (event.submitter?.value !== "apply" || !chosen) return;
    const n = decide(shown, chosen === "undecided" ? null : chosen);
    toast(`${plural(n, "finding")} now ${chosen}. Ctrl Z takes it back.`);
  });
}

const bulkChoice = () => byId("bulk-choices").querySelector("input:checked")?.value ?? null;

function showConsequence() {
  const chosen = bulkChoice();
  byId("bulk-apply").disabled = chosen === null;
  if (chosen === null) {
    byId("bulk-consequence").textContent = "Choose a decision.";
    byId("bulk-apply").textContent = "Apply";
    return;
  }
  const decision = chosen === "undecided" ? null : chosen;
  const affected = shown.filter((i) => (decision === null || offered(i, decision)) && decisionOf(i) !== decision);
  const changed = affected.filter((i) => decisionOf(i) !== null).length;
  const left = decision === null ? 0 : shown.filter((i) => !offered(i, decision)).length;
  const said = [`${plural(affected.length, "finding")} will be marked ${chosen}.`];
  if (changed) said.push(`${count(changed)} of them ${changed === 1 ? "has" : "have"} a decision that this replaces.`);
  if (left) said.push(`${count(left)} ${left === 1 ? "stays" : "stay"} as ${left === 1 ? "it is" : "they are"}: ${chosen} is not possible there.`);
  byId("bulk-consequence").textContent = said.join(" ");
  byId("bulk-apply").textContent = `Mark ${count(affected.length)} as ${chosen}`;
}

const isField = (node) => node.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select");

function onKey(event) {
  const { key, target } = event;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z" && !isField(target)) {
    event.preventDefault();
    const n = undoDecision();
    toast(n ? `Took ${plural(n, "decision")} back.` : "No decision to take back.");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isField(target)) return leaveField(event);
  const other = document.querySelector("dialog[open]:not(#detail)");
  if (other) return;
  const action = detail.open ? detailKey(key) : galleryKey(key, target);
  if (!action) return;
  event.preventDefault();
  action();
}

function leaveField(event) {
  const { key, target } = event;
  const done = key === "Escape" || (key === "Enter" && target.matches("input.comment"));
  if (!done || target.matches("select")) return;
  event.preventDefault(); // Escape in a comment of the large view must not close the view too
  target.blur();
  if (detail.open) detail.focus();
  else activate(active);
}

function detailKey(key) {
  const members = groups[detailAt];
  const step = { j: 1, ArrowRight: 1, ArrowDown: 1, k: -1, ArrowLeft: -1, ArrowUp: -1 }[key];
  if (step) return () => moveDetail(step);
  if (key in DECISION_KEYS) return () => settle(members, DECISION_KEYS[key]) && key !== "u" && moveDetail(1);
  return { z: () => toggleZoom(), b: toggleBoxes, c: () => detail.querySelector("footer .comment").focus(), "?": openHelp }[key] ?? null;
}

function galleryKey(key, target) {
  if (key === "/") return () => byId("search").focus();
  if (key === "?") return openHelp;
  if (key === "b") return toggleBoxes;
  if (!shown.length) return null;
  const inGallery = gallery.contains(target);
  // Arrow keys scroll the page until the gallery has the focus; j enters it.
  const steps = { j: 1, k: -1, ...(inGallery && { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.columns, ArrowUp: -grid.columns }) };
  if (key in steps) return () => activate(inGallery ? active + steps[key] : active);
  if (!inGallery) return null;
  if (key === "Home") return () => activate(0);
  if (key === "End") return () => activate(groups.length - 1);
  if (key === "Enter" && target.matches(".card")) return () => openDetail(active);
  if (key === "c") return () => cards.get(active).querySelector(".comment").focus();
  if (key in DECISION_KEYS) return () => settle(groups[active], DECISION_KEYS[key]) && key !== "u" && activate(active + 1);
  return null;
}

/** Start the page; `part` is what the page of a report with a probe has besides: see probe_page.js. */
export function startPage(part = null) {
  probe = part;
  const imagesOf = (parameters) => probe?.pickFrom(parameters) ?? null;
  startTheme();
  startDecisions();
  startOverview();
  startPreflight();
  startCauses();
  startPlots();
  probe?.startProbe();
  buildFacets();
  startToolbar();
  startBulk();
  startGallery(openDetail);
  startDetail();
  viewListeners.push(refresh);
  decisionListeners.push(() => {
    showProgress();
    showCounts();
    showFacets(select().counts);
  });
  addEventListener("hashchange", () => {
    viewFromHash(imagesOf);
    refresh();
  });
  addEventListener("keydown", onKey);
  viewFromHash(imagesOf);
  byId("filters").open = matchMedia("(min-width: 900px)").matches;
  refresh();
  showProgress();
}
