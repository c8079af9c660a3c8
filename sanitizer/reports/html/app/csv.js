// The decisions sheet: byte for byte what `sanitize scan --output FILE.csv` writes, with decision and comment filled.

import { count, DATA, DECISIONS, dropsImage, F, findingsOfRow, N, offered, plural, ruleName } from "./data.js";
import { el, toast } from "./dom.js";
import {
  commentOf, comments, conflictOf, decide, decidedCount, decisionOf, decisionsChanged, put,
} from "./decisions.js";

const CSV_COLUMNS = [
  "rule", "name", "severity", "split", "image", "label", "line", "column", "class_id", "class_name",
  "x_center", "y_center", "width", "height", "value", "threshold", "message", "suggestion", "fix", "fingerprint",
  "cause", "p", "decision", "comment",
];
const INTEGERS = new Set(["line", "column", "class_id"]);
const FORMULA_START = /^ *[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** A float as Python's repr writes it, so that the sheet equals the one that the command writes. */
function pythonFloat(value) {
  if (Object.is(value, -0)) return "-0.0";
  const [digits, exponent] = value.toExponential().split("e");
  if (Number(exponent) < -4 || Number(exponent) >= 16) {
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** Control and direction characters as escapes, as Python's `inert` writes them. */
function inert(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (char) => {
    const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[char];
    const hex = char.charCodeAt(0).toString(16);
    return short ?? (hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`);
  });
}

/** Put an apostrophe before text that a spreadsheet would run as a formula, and before an apostrophe: import takes one off. */
function safeText(text) {
  return text.startsWith("'") || FORMULA_START.test(text) ? `'${text}` : text;
}

/** A spreadsheet would round a fingerprint that is all digits, and read 12e34 as a number. */
function fingerprintText(text) {
  return /^\d+$/.test(text.replace("e", "")) ? `'${text}` : text;
}

/** Text of a finding: inert, and guarded where it starts as a formula does, escaped or not. */
function findingText(text) {
  const escaped = inert(text);
  return escaped.startsWith("'") || FORMULA_START.test(escaped) || FORMULA_START.test(text) ? `'${escaped}` : escaped;
}

function csvCell(column, i) {
  if (column === "fingerprint") return fingerprintText(findingText(F.fingerprint[i]));
  if (column === "decision") return decisionOf(i) ?? "";
  if (column === "comment") return safeText(commentOf(i));
  const value = column === "name" ? ruleName(F.rule[i]) : F[column][i];
  if (value === null) return "";
  if (typeof value !== "number") return findingText(String(value));
  return INTEGERS.has(column) ? BigInt(value).toString() : pythonFloat(value);
}

const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

function csvText() {
  const lines = [CSV_COLUMNS.join(",")];
  for (let i = 0; i < N; i++) lines.push(CSV_COLUMNS.map((column) => quoted(csvCell(column, i))).join(","));
  return `\ufeff${lines.join("\r\n")}\r\n`;
}

/** Rows of cells; quotes as RFC 4180 has them, whichever delimiter the spreadsheet chose. */
function csvRows(text) {
  const header = text.split("\n", 1)[0];
  const delimiter = [",", ";", "\t"].reduce((a, b) => (header.split(b).length > header.split(a).length ? b : a));
  const rows = [];
  let row = [];
  let cell = "";
  let inQuotes = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || cell) rows.push(row);
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inQuotes) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') cell += text[++at];
      else inQuotes = false;
    } else if (char === '"' && cell === "") inQuotes = true;
    else if (char === delimiter) {
      row.push(cell);
      cell = "";
    } else if (char === "\n" || char === "\r") {
      if (char === "\r" && text[at + 1] === "\n") at++;
      endRow();
    } else cell += char;
  }
  if (cell || row.length) endRow();
  return rows;
}

function decoded(buffer) {
  const bytes = new Uint8Array(buffer);
  const utf16 = { "255,254": "utf-16le", "254,255": "utf-16be" }[`${bytes[0]},${bytes[1]}`];
  return new TextDecoder(utf16 ?? "utf-8", { fatal: true }).decode(bytes);
}

/** Take decisions and comments from a sheet. Returns a sentence on what came of it. */
export function importSheet(buffer) {
  let text;
  try {
    text = decoded(buffer);
  } catch {
    return "Not imported: the file is not UTF-8. Save it as 'CSV UTF-8'.";
  }
  const [header = [], ...rows] = csvRows(text);
  const names = header.map((name) => name.replace(/^'/, "").trim().toLowerCase());
  const missing = ["fingerprint", "decision"].find((name) => !names.includes(name));
  if (missing) return `Not imported: no column '${missing}' in the first line. Import a CSV that sanitize or this page wrote.`;
  const at = (name, row) => (row[names.indexOf(name)] ?? "").replace(/^'/, "");
  const indexOf = new Map(F.fingerprint.map((fingerprint, i) => [fingerprint, i]));
  const wanted = new Map(DECISIONS.map((decision) => [decision, []]));
  const left = { unknown: 0, wrong: 0, refused: 0 };
  let noted = 0;
  for (const row of rows) {
    const decision = at("decision", row).trim().toLowerCase();
    const comment = at("comment", row);
    if (!decision && !comment) continue;
    const i = indexOf.get(at("fingerprint", row).trim());
    if (i === undefined) left.unknown++;
    else {
      if (decision && !DECISIONS.includes(decision)) left.wrong++;
      else if (decision && !offered(i, decision)) left.refused++;
      else if (decision) wanted.get(decision).push(i);
      if (comment) {
        put(comments, F.fingerprint[i], comment);
        noted++;
      }
    }
  }
  let taken = 0;
  for (const [decision, indexes] of wanted) {
    taken += indexes.length;
    decide(indexes, decision);
  }
  if (noted) decisionsChanged();
  const said = [`Imported ${plural(taken, "decision")}`];
  if (noted) said[0] += ` and ${plural(noted, "comment")}`;
  if (left.unknown) said.push(`${plural(left.unknown, "row")} not of this report`);
  if (left.wrong) said.push(`${plural(left.wrong, "row")} with a word other than fix, drop or keep`);
  if (left.refused) said.push(`${plural(left.refused, "decision")} that cannot be carried out`);
  const reasons = said.splice(1).join(", ");
  return `${said[0]}${reasons ? `; left out: ${reasons}` : ""}.`;
}

/** Download the sheet, and say how many findings are decided. */
export function exportSheet() {
  const url = URL.createObjectURL(new Blob([csvText()], { type: "text/csv;charset=utf-8" }));
  const stem = DATA.title.replace(/\.ya?ml$/i, "").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || "dataset";
  const link = el("a", { href: url, download: `${stem}-decisions.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  const conflicts = [...findingsOfRow.values()].filter((members) => members.some((i) => conflictOf(i) !== null)).length;
  const warning = conflicts
    ? ` ${plural(conflicts, "row")} ${conflicts === 1 ? "is" : "are"} both dropped and kept: those will be left as they are.`
    : "";
  const leftOut = new Set();
  for (let i = 0; i < N; i++) if (decisionOf(i) === "drop" && dropsImage(i)) leftOut.add(F.image[i]);
  const note = leftOut.size ? ` ${plural(leftOut.size, "image")} to leave out: that takes --view.` : "";
  toast(`Exported ${plural(N, "finding")}, ${count(decidedCount())} decided.${warning}${note}`);
}
