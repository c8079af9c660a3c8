// The report, read only. Findings are columns of equal length; a finding is its index in them.

export const DATA = JSON.parse(document.getElementById("data").textContent);
export const F = DATA.findings;
export const N = F.rule.length;
export const RULES = new Map(Object.entries(DATA.rules));
export const SEVERITIES = ["error", "warning", "info"];
export const DECISIONS = ["fix", "drop", "keep"];

const numbers = new Intl.NumberFormat("en");
export const count = (n) => numbers.format(n);
export const plural = (n, noun, several = `${noun}s`) => `${count(n)} ${n === 1 ? noun : several}`;

/** A number as people read it: at most four significant digits. The CSV export writes every digit. */
export function brief(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

export const baseName = (path) => path.slice(path.lastIndexOf("/") + 1);

export const ruleName = (code) => RULES.get(code)?.name ?? "";

/** LABEL:LINE:COLUMN, as the text report writes it. */
export function place(i) {
  const file = F.label[i] ?? F.image[i] ?? DATA.title;
  return [file, F.line[i], F.column[i]].filter((part) => part !== null).join(":");
}

export function className(i) {
  if (F.class_id[i] === null) return F.class_name[i] ?? "no class";
  return F.class_name[i] === null ? `class ${F.class_id[i]}` : F.class_name[i];
}

/** Whether `sanitize fix --decisions` can carry this decision out. */
export function offered(i, decision) {
  if (decision === "fix") return F.fix[i] !== null;
  if (decision === "drop") return rowKey(i) !== null || dropsImage(i);
  return true;
}

/** Whether "drop" leaves out a whole image. Only `--view` does that; no command deletes an image. */
export const dropsImage = (i) => rowKey(i) === null && F.image[i] !== null;

export function whyNotOffered(decision) {
  return decision === "fix" ? "No automatic repair exists for this finding" : "This finding is about no single label row or image";
}

export const rowKey = (i) => (F.label[i] === null || F.line[i] === null ? null : `${F.line[i]}:${F.label[i]}`);

/** Findings by the label row they are about, for rows with more than one. */
export const findingsOfRow = (() => {
  const byRow = new Map();
  for (let i = 0; i < N; i++) {
    const key = rowKey(i);
    if (key === null) continue;
    const known = byRow.get(key);
    if (known) known.push(i);
    else byRow.set(key, [i]);
  }
  for (const [key, members] of byRow) if (members.length === 1) byRow.delete(key);
  return byRow;
})();

/** The other findings about the same label row. */
export function siblings(i) {
  return (findingsOfRow.get(rowKey(i)) ?? []).filter((other) => other !== i);
}
