// What happened to the dataset as a whole: a card for each cause, with a decision on all findings that it explains.

import { count, DATA, DECISIONS, F, N, offered, plural, SEVERITIES } from "./data.js";
import { byId, button, el, icon, toast, wayOut, withCode } from "./dom.js";
import { decide, decisionListeners, decisionOf } from "./decisions.js";
import { pressFacet } from "./overview.js";

const membersOf = new Map(DATA.causes.map((cause) => [cause.id, []]));
for (let i = 0; i < N; i++) membersOf.get(F.cause[i])?.push(i);

function causeCounts(cause) {
  const said = [`${plural(cause.explains, "finding")} in ${plural(cause.files, "file")}`];
  if (cause.images) said.push(`frees ${plural(cause.images, "image")} for training`);
  const here = membersOf.get(cause.id).length;
  if (here < cause.explains) said.push(`${count(here)} of the findings are on this page`);
  return said.join(" · ");
}

/** The cause's findings for which a decision can be carried out; what no fix mends as a whole is fixed nowhere. */
function decidable(cause, decision) {
  if (decision === "fix" && cause.fix === null) return [];
  return membersOf.get(cause.id).filter((i) => offered(i, decision));
}

function causeChoice(cause, decision) {
  const n = decidable(cause, decision).length;
  const all = membersOf.get(cause.id).length;
  const title = n === 0 ? `${decision} is not possible here` : n < all ? `${decision}: ${count(n)} of ${plural(all, "finding")}` : `${decision} all of them`;
  const node = button({ class: `choice ${decision}`, "data-decide-all": decision, "aria-pressed": "false", title }, icon(decision), `${decision} all`);
  node.disabled = n === 0;
  return node;
}

function part(title, ...nodes) {
  return [el("h4", {}, title), ...nodes];
}

function causeCard(cause) {
  const heading = `cause-${DATA.causes.indexOf(cause)}`;
  const show = button({ class: "button", "aria-pressed": "false", "data-facet": "cause", "data-value": cause.id },
    `Show its ${plural(membersOf.get(cause.id).length, "finding")}`);
  return el("article", { class: `cause ${cause.severity}`, "data-cause": cause.id, "aria-labelledby": heading },
    el("header", {}, icon(cause.severity, cause.severity), el("h3", { id: heading }, cause.sentence)),
    el("p", { class: "meta" }, [cause.name, causeCounts(cause)].filter(Boolean).join(" · ")),
    ...(cause.training ? part("What training does", el("p", {}, ...withCode(cause.training))) : []),
    ...(cause.evidence.length ? part("Evidence", el("ul", { class: "evidence" }, ...cause.evidence.map((text) => el("li", {}, ...withCode(text))))) : []),
    ...(cause.way_out ? part("Way out", wayOut(cause.way_out)) : []),
    el("footer", {}, show, el("div", { class: "decide", role: "group", "aria-label": "Decide all findings of this cause" },
      ...DECISIONS.map((decision) => causeChoice(cause, decision))),
    el("p", { class: "meta decided", role: "status" })));
}

function paintCauses() {
  for (const [at, cause] of DATA.causes.entries()) {
    const node = byId("cause-list").children[at];
    for (const choice of node.querySelectorAll("[data-decide-all]")) {
      choice.setAttribute("aria-pressed", String(isDecided(cause, choice.dataset.decideAll)));
    }
    const members = membersOf.get(cause.id);
    const n = members.filter((i) => decisionOf(i) !== null).length;
    node.querySelector(".decided").textContent = n ? `${count(n)} of ${count(members.length)} decided` : "";
  }
}

function isDecided(cause, decision) {
  const able = decidable(cause, decision);
  return able.length > 0 && able.every((i) => decisionOf(i) === decision);
}

/** Decide all findings of a cause; the same decision again takes it back. */
function decideAll(cause, decision) {
  const wanted = isDecided(cause, decision) ? null : decision;
  const n = decide(decidable(cause, decision), wanted);
  toast(`${plural(n, "finding")} now ${wanted ?? "undecided"}. Ctrl Z takes it back.`);
}

function titleOfCauses() {
  const explained = DATA.causes.reduce((sum, cause) => sum + cause.explains, 0);
  const all = SEVERITIES.reduce((sum, severity) => sum + (DATA.severities[severity] ?? 0), 0);
  return `${plural(DATA.causes.length, "cause")} ${DATA.causes.length === 1 ? "explains" : "explain"} ${count(explained)} of ${plural(all, "finding")}`;
}

export function startCauses() {
  byId("causes").hidden = DATA.causes.length === 0;
  if (DATA.causes.length === 0) return;
  byId("causes-title").textContent = titleOfCauses();
  byId("cause-list").append(...DATA.causes.map(causeCard));
  byId("cause-list").addEventListener("click", (event) => {
    const node = event.target.closest("[data-facet], [data-decide-all]");
    if (!node) return;
    if (node.dataset.facet) return pressFacet(node);
    const id = node.closest(".cause").dataset.cause;
    decideAll(DATA.causes.find((cause) => cause.id === id), node.dataset.decideAll);
  });
  decisionListeners.push(paintCauses);
  paintCauses();
}
