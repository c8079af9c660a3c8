// The verdict of a preflight: go or no-go, the checklist, what matters most, and the command that starts the run.

import { DATA, F, plural, RULES } from "./data.js";
import { button, byId, calmly, copyButton, el, icon, wayOut, withCode } from "./dom.js";
import { showRules } from "./filters.js";

const MARKS = { ok: ["fix", "in order"], warning: ["warning", "warning"], error: ["error", "error"], "not looked at": ["dash", "not looked at"] };

function areaLine({ area, mark, text }) {
  const [name, label] = MARKS[mark] ?? MARKS["not looked at"];
  const kind = mark === "not looked at" ? "unknown" : mark;
  return el("li", { class: `area ${kind}` }, icon(name, label), el("b", {}, area), el("span", {}, text));
}

function concernItem(concern) {
  const codes = concern.rules.filter((code) => RULES.has(code));
  const n = F.rule.filter((code) => codes.includes(code)).length;
  const show = n === 0 ? null : button({ class: "link" }, `Show ${plural(n, "finding")}`);
  show?.addEventListener("click", () => {
    showRules(codes);
    byId("findings").scrollIntoView({ behavior: calmly() });
  });
  return el("li", { class: `concern ${concern.severity}` }, icon(concern.severity, concern.severity),
    el("div", {}, el("p", {}, ...withCode(concern.what)), concern.settle ? wayOut(concern.settle, concern.command ?? undefined) : null, show));
}

/** The train arguments that the corrected command changes, as `lr0 0.05 → 0.01`. */
function changes(changed) {
  if (!changed.length) return null;
  return el("ul", { class: "changed" }, ...changed.map(({ key, from, to }) =>
    el("li", {}, el("code", {}, key), from === null ? null : el("s", {}, from), el("b", {}, to))));
}

function commandTitle({ go, changed }) {
  if (changed.length) return "Corrected command";
  return go ? "Start it with" : "Once that is settled, start it with";
}

/** A command whose lines break between its words alone. */
const wordsOf = (command) => command.split(" ").flatMap((word, at) => [at ? " " : "", el("span", {}, word)]);

function commandPanel(flight) {
  return el("div", { class: "panel flight-command" }, el("h2", {}, commandTitle(flight)), changes(flight.changed),
    el("div", { class: "way-out" }, el("pre", { class: "command" }, ...wordsOf(flight.command)), copyButton(flight.command, "Copy the command")));
}

function checklistPanel({ areas, run }) {
  return el("div", { class: "panel" }, el("h2", {}, "Checklist"), el("ul", { class: "areas" }, ...areas.map(areaLine)),
    ...(run.length ? [el("h3", {}, "The run would"), el("ul", { class: "run" }, ...run.map((text) => el("li", {}, text)))] : []));
}

export function startPreflight() {
  const flight = DATA.preflight;
  byId("preflight").hidden = flight === null;
  if (flight === null) return;
  const verdict = flight.go ? "GO" : "NO-GO";
  document.title = `${verdict} · ${document.title}`;
  const concerns = flight.concerns.length
    ? el("ol", { class: "concerns" }, ...flight.concerns.map(concernItem))
    : el("p", { class: "meta" }, "Nothing that matters was found.");
  byId("preflight").append(
    el("div", { class: `verdict ${flight.go ? "go" : "no-go"}` }, el("h2", { id: "preflight-title" }, verdict),
      el("p", {}, el("b", {}, flight.what), el("span", {}, flight.counts))),
    el("div", { class: "flight-columns" },
      el("div", {}, checklistPanel(flight), flight.command ? commandPanel(flight) : null),
      el("div", { class: "panel" }, el("h2", {}, "What matters most"), concerns)));
}
