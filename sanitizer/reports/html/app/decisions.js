// What the user decided, by fingerprint; kept in this browser under the report's id.

import { DATA, DECISIONS, F, N, offered, siblings } from "./data.js";
import { byId, storageGet, storageSet } from "./dom.js";

const STORE_KEY = `sanitize:decisions:${DATA.id}`;
const decisions = new Map();
export const comments = new Map();
export const decisionListeners = [];
const undoStack = [];
let unsaved = false;
let saveTimer = 0;

export const decisionOf = (i) => decisions.get(F.fingerprint[i]) ?? null;
export const commentOf = (i) => comments.get(F.fingerprint[i]) ?? "";

export function decidedCount() {
  let n = 0;
  for (let i = 0; i < N; i++) n += decisions.has(F.fingerprint[i]);
  return n;
}

export function put(map, fingerprint, value) {
  if (value) map.set(fingerprint, value);
  else map.delete(fingerprint);
}

/** Decide findings; null takes a decision back. Findings that do not offer the decision stay as they are. Returns how many changed. */
export function decide(indexes, decision) {
  const before = [];
  for (const i of indexes) {
    if (decision !== null && !offered(i, decision)) continue;
    if (decisionOf(i) === decision) continue;
    before.push([F.fingerprint[i], decisionOf(i)]);
    put(decisions, F.fingerprint[i], decision);
  }
  if (before.length) {
    undoStack.push(before);
    decisionsChanged();
  }
  return before.length;
}

/** Take the last decision back, for all findings that it was made for. Returns how many findings changed. */
export function undoDecision() {
  const before = undoStack.pop() ?? [];
  for (const [fingerprint, decision] of before) put(decisions, fingerprint, decision);
  if (before.length) decisionsChanged();
  return before.length;
}

/** The different comments of findings: one, perhaps empty, where they agree. */
export const commentsOf = (members) => [...new Set(members.map(commentOf))];

/** Comment on findings at once. Where their comments differ, none is overwritten: each is edited by itself. */
export function setComment(members, text) {
  const known = commentsOf(members);
  if (known.length > 1 || known[0] === text) return;
  for (const i of members) put(comments, F.fingerprint[i], text);
  decisionsChanged();
}

/** Whether all findings that offer a decision have it, and any does. */
export function haveDecision(members, decision) {
  const able = members.filter((i) => offered(i, decision));
  return able.length > 0 && able.every((i) => decisionOf(i) === decision);
}

/** Another finding of the same row whose decision excludes this one's: `fix` would carry out neither. */
export function conflictOf(i) {
  const opposite = { drop: "keep", keep: "drop" }[decisionOf(i)];
  return opposite ? siblings(i).find((other) => decisionOf(other) === opposite) ?? null : null;
}

export function decisionsChanged() {
  unsaved = true;
  clearTimeout(saveTimer);
  saveTimer = setTimeout(saveDecisions, 200);
  for (const listener of decisionListeners) listener();
}

function saveDecisions() {
  if (!unsaved) return;
  clearTimeout(saveTimer);
  const state = { decisions: Object.fromEntries(decisions), comments: Object.fromEntries(comments) };
  const kept = storageSet(STORE_KEY, JSON.stringify(state));
  unsaved = !kept;
  noteStorage(kept);
}

function noteStorage(kept) {
  const note = byId("storage-note");
  note.hidden = kept;
  if (!kept) {
    note.textContent =
      "This browser does not keep data for this page, so decisions last only while it is open. " +
      "Export the CSV before you close it; Import brings them back.";
  }
}

function takeIn(text) {
  let state = null;
  try {
    state = JSON.parse(text ?? "{}");
  } catch {
    return; // from another program, or cut off: the page starts without decisions
  }
  decisions.clear();
  comments.clear();
  for (const [fingerprint, decision] of Object.entries(state?.decisions ?? {})) {
    if (DECISIONS.includes(decision)) decisions.set(fingerprint, decision);
  }
  for (const [fingerprint, comment] of Object.entries(state?.comments ?? {})) comments.set(fingerprint, String(comment));
}

export function startDecisions() {
  takeIn(storageGet(STORE_KEY));
  noteStorage(storageSet(`${STORE_KEY}:probe`, "1"));
  try {
    localStorage.removeItem(`${STORE_KEY}:probe`);
  } catch {
    // the note already says that nothing is kept
  }
  addEventListener("pagehide", saveDecisions);
  addEventListener("beforeunload", (event) => {
    saveDecisions();
    if (unsaved) event.preventDefault();
  });
  addEventListener("storage", (event) => {
    if (event.key !== STORE_KEY) return; // the same report in another tab
    takeIn(event.newValue);
    for (const listener of decisionListeners) listener();
  });
}
