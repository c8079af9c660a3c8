"""Pages of the guide that are made, not written: one a rule, an index of rules, and the results of benchmarks.

MkDocs calls `on_config`, `on_files` and `on_page_markdown` of this module (`hooks:` in mkdocs.yml).
"""

from __future__ import annotations

import html
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

from sanitizer.rules.language.pack import load_rules
from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

    from sanitizer.rules.language.rule import Rule

RESULTS = Path(__file__).parents[1] / "bench" / "results"

FAMILIES = {
    "L": "Text of label files",
    "B": "Boxes",
    "C": "Classes",
    "S": "Polygons",
    "K": "Keypoints",
    "O": "Oriented boxes",
    "I": "Image files",
    "D": "The dataset",
    "G": "Gradients",
    "F": "Class folders",
    "M": "Masks",
    "T": "The training recipe",
}
SCOPES = {
    "row": "each label row",
    "file": "each image and its label file",
    "dataset": "the dataset as a whole",
    "recipe": "the training recipe",
}
TRAINING = {
    "crashes": "stops with an error",
    "drops-image": "drops the whole image",
    "drops-row": "drops the row",
    "rewrites-file": "rewrites the image file on disk",
    "ignores": "never looks at it",
    "trains": "trains with it",
}
FIXES = {
    "safe": "safe: `sanitize fix` does it, and nothing is lost",
    "unsafe": "unsafe: `sanitize fix --unsafe` does it; it changes or removes annotations, so look at `--diff` first",
    None: "none: this needs a person",
}
NOT_SHOWN = {"about", "lines", "suggests", "training"}
"""Keys of an example that say something about it, and are no part of what it is made of."""


def on_config(config: MkDocsConfig) -> None:
    """List the made pages in the navigation, below the pages that introduce them."""
    rules = load_rules().values()
    for entry in config["nav"]:
        if "Rules" in entry:
            families = [
                {FAMILIES[letter]: [rule_page(rule) for rule in rules if rule.code.startswith(letter)]}
                for letter in FAMILIES
            ]
            entry["Rules"] = ["rules/index.md", *families]
        if "Benchmarks" in entry:
            results = [{path.stem: f"results/{path.name}"} for path in sorted(RESULTS.glob("*.md"))]
            entry["Benchmarks"] = [*entry["Benchmarks"][:-1], {"Results": ["results/index.md", *results]}]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages to the written ones."""
    rules = load_rules()
    made = {rule_page(rule): markdown_of(rule) for rule in rules.values()}
    made["rules/index.md"] = index_of(list(rules.values()))
    results = sorted(RESULTS.glob("*.md"))
    made |= {f"results/{path.name}": path.read_text("utf-8") for path in results}
    made["results/index.md"] = _results_index(results)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Lead links to results, which hold for the files of the source, to their pages in the guide."""
    up = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({up}../../bench/results/", f"]({up}results/")


def rule_page(rule: Rule) -> str:
    """Path of a rule's page in the guide."""
    return f"rules/{rule.code}.md"


def index_of(rules: Sequence[Rule]) -> str:
    """All rules in a table a family."""
    lines = ["# Rules", "", f"{len(rules)} rules. `sanitize rules CODE` prints one in the terminal.", ""]
    for letter, title in FAMILIES.items():
        lines += [
            f"## {title}",
            "",
            "| code | name | severity | training | fix |",
            "| --- | --- | --- | --- | --- |",
        ]
        for rule in (r for r in rules if r.code.startswith(letter)):
            training = TRAINING[rule.training] if rule.training else ""
            name = f"[{rule.code}]({rule.code}.md) | {rule.name}"
            lines.append(f"| {name} | {rule.severity.label} | {training} | {rule.fix or ''} |")
        lines.append("")
    return "\n".join(lines)


def markdown_of(rule: Rule) -> str:
    """The page of one rule."""
    lines = [
        f"# {rule.code} {rule.name}",
        "",
        "| severity | looks at | tasks | training | automatic fix |",
        "| --- | --- | --- | --- | --- |",
        f"| {rule.severity.label} | {SCOPES[rule.scope]} | {', '.join(rule.tasks)} "
        f"| {TRAINING[rule.training] if rule.training else ''} | {rule.fix or 'none'} |",
        "",
    ]
    lines += _section("Why", [_plain(rule.why)] if rule.why else [])
    lines += _section(
        "What training does with it", [_plain(rule.training_note)] if rule.training_note else []
    )
    lines += _section("Fires when", _fenced(rule.when, "python") if rule.when else [])
    lines += _section("Message", _fenced(rule.message) if _says_something(rule.message) else [])
    lines += _section("Parameters", list(_parameters(rule)))
    lines += _section("What to do", _what_to_do(rule))
    fix = (
        FIXES[rule.fix]
        if rule.scope != "recipe"
        else "`sanitize preflight --fix-recipe` prints the corrected command"
    )
    lines += _section("Automatic fix", [f"{fix}."])
    lines += _section("Not reported where", _unless(rule))
    for kind in ("bad", "good"):
        body = [line for example in rule.examples[kind] for line in _example(example, mark=kind == "bad")]
        lines += _section(f"{kind.title()} examples", body)
    return "\n".join(lines)


def _section(title: str, body: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *body, ""] if body else []


def _says_something(message: str) -> bool:
    """A message has words of its own, beside what a reader fills in."""
    return any(words.strip() for words, *_ in string.Formatter().parse(message))


def _plain(text: str | None) -> str:
    """One paragraph in which no character means anything to Markdown."""
    words = html.escape(" ".join((text or "").split()), quote=False)
    return "".join(f"\\{c}" if c in r"\*_[]|" else c for c in words)


def _fenced(text: str, language: str = "text", marked: Sequence[int] = ()) -> list[str]:
    fence = "````" if "```" in text else "```"
    marks = f' hl_lines="{" ".join(map(str, marked))}"' if marked else ""
    return [f"{fence}{language}{marks}", *(legible(line) for line in text.splitlines()), fence, ""]


def _parameters(rule: Rule) -> Iterator[str]:
    if not rule.params:
        return
    yield "| parameter | default |"
    yield "| --- | --- |"
    for name, number in rule.params.items():
        yield f"| `{name}` | {number:g} |"
    name, number = next(iter(rule.params.items()))
    yield ""
    where = (
        "" if rule.scope == "recipe" else ", or for one class in [sanitize.yaml](../guides/configuration.md)"
    )
    yield f"Change it with `--set {rule.code}.{name}={2 * number:g}`{where}."


def _what_to_do(rule: Rule) -> list[str]:
    if not rule.suggestion:
        return []
    return _fenced(rule.suggestion) if rule.scope == "recipe" else [_plain(rule.suggestion)]


def _unless(rule: Rule) -> list[str]:
    links = ", ".join(f"[{code}]({code}.md)" for code in rule.unless)
    place = {"row": "the same row", "file": "the same file"}.get(rule.scope, "the same run")
    return [f"one of these rules fires on {place}: {links}."] if links else []


def _example(example: Mapping[str, Any], mark: bool) -> Iterator[str]:
    """What the example is about, then each thing that it is made of. `mark`: show the lines that the rule names."""
    yield f"**{_plain(example['about'])}**" if "about" in example else "**plain**"
    yield ""
    marked = example.get("lines", ()) if mark else ()
    for key, value in example.items():
        if key == "rows":
            yield from _fenced(value, marked=marked)
        elif key == "bytes":
            yield from _fenced(value.encode("latin-1").decode("ascii", "surrogateescape"), marked=marked)
        elif key == "yaml":
            yield from _fenced(value, "yaml", marked)
        elif key == "recipe":
            yield from _fenced(value or "(Ultralytics' defaults)")
        elif key == "files":
            yield from _files(value)
        elif key not in NOT_SHOWN:
            yield f"{key}: `{legible(str(value))}`"
            yield ""
    if "suggests" in example:
        yield f"It suggests `{example['suggests']}`."
        yield ""


def _files(files: Mapping[str, Any]) -> Iterator[str]:
    """A list of files: path and text, or path and how it is made."""
    for path, content in files.items():
        if isinstance(content, str):
            yield f"`{legible(path)}`:"
            yield ""
            yield from _fenced(content or "(empty)")
        else:
            how = ", ".join(f"{key} {value}" for key, value in content.items())
            yield f"`{legible(path)}`: `{legible(how)}`"
            yield ""


def _results_index(paths: Sequence[Path]) -> str:
    """A list of the results, each by its own title."""
    lines = ["# Results as measured", "", "What the programs in `scripts/bench` wrote, unchanged.", ""]
    for path in paths:
        title = path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"* [{path.stem}]({path.name}): {title}")
    return "\n".join([*lines, ""])
