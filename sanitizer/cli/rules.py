"""List the rules, or explain one: why, what training does with it, bad and good rows, parameters, fix."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sanitizer.cli import OK, UsageError
from sanitizer.cli.arguments import one_of
from sanitizer.config import load_config
from sanitizer.reports.common import plain
from sanitizer.rules.language import pack
from sanitizer.util.escape import legible
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.rules.language.pack import Rule

USAGE = "sanitize rules [CODE] [options]"
EPILOG = None

WIDTH = 100

_SCOPES = {
    "row": "each label row",
    "file": "each image and its label file",
    "dataset": "the dataset as a whole",
    "recipe": "the training recipe",
}
_FIXES = {
    "safe": "a repair loses nothing",
    "unsafe": "a repair changes or removes annotations, so look first",
    None: "none: this needs a person",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sanitize rules`."""
    parser.add_argument(
        "code", metavar="CODE", nargs="?", help="a rule, as B001 or its name; or a prefix, as B"
    )
    parser.add_argument("--config", metavar="FILE", help="configuration that names your own rule packs")
    parser.add_argument(
        "--format", type=one_of(("text", "json")), default="text", metavar="NAME", help="text, json"
    )


def run(args: argparse.Namespace) -> int:
    """Print the list, or the explanation."""
    config = load_config(os.getcwd(), args.config)
    rules = pack.load_rules(config.packs)
    chosen = _chosen(rules, args.code)
    explain = args.code is not None and len(chosen) == 1
    if args.format == "json":
        content = plain([_as_dict(rule) for rule in chosen])
        print(json.dumps(content[0] if explain else content, indent=2))
    else:
        for line in _explanation(chosen[0]) if explain else _listing(chosen):
            _print(line)
    return OK


def _print(line: str) -> None:
    """Print, escaping what the terminal's encoding does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding))


def _chosen(rules: Mapping[str, Rule], code: str | None) -> list[Rule]:
    if code is None:
        return list(rules.values())
    by_name = {rule.name: rule for rule in rules.values()}
    if code.lower() in by_name:
        return [by_name[code.lower()]]
    chosen = [rule for rule in rules.values() if rule.code.startswith(code.upper())]
    if not chosen:
        raise UsageError(f"there is no rule {code!r}{did_you_mean(code, [*rules, *by_name])}")
    return chosen


def _as_dict(rule: Rule) -> dict[str, Any]:
    inner = ("source", "line")
    content = {f.name: getattr(rule, f.name) for f in fields(rule) if f.name not in inner}
    return content | {
        "severity": rule.severity.label,
        "params": dict(rule.params),
        "examples": {kind: [dict(e) for e in examples] for kind, examples in rule.examples.items()},
    }


def _listing(rules: Sequence[Rule]) -> Iterable[str]:
    """One line a rule: code, severity, name, first sentence of why. Cut to the width of a terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    name_width = max(len(rule.name) for rule in rules)
    code_width = max(len(rule.code) for rule in rules)
    for rule in rules:
        about = " ".join(rule.why.split()).partition(". ")[0].rstrip(".")
        line = f"{rule.code:<{code_width}}  {rule.severity.label:<7}  {rule.name:<{name_width}}  {about}".rstrip()
        yield line if width is None or len(line) <= width else f"{line[: width - 1]}…"
    yield ""
    yield f"`sanitize rules {rules[0].code}` explains one."


def _explanation(rule: Rule) -> Iterable[str]:
    yield f"{rule.code} {rule.name} ({rule.severity.label})"
    yield f"looks at {_SCOPES[rule.scope]}; tasks: {', '.join(rule.tasks)}"
    yield from _section("Why", _paragraph(rule.why))
    if rule.training:
        yield from _section("What training does with it", _paragraph(rule.training_note or rule.training))
    if rule.when:
        yield from _section("Fires when", [rule.when])
    if rule.params:
        yield from _section("Parameters", [f"{name} = {number:g}" for name, number in rule.params.items()])
        name, number = next(iter(rule.params.items()))
        classes = "" if rule.scope == "recipe" else ", or for one class in sanitize.yaml"
        yield f"  change it with --set {rule.code}.{name}={2 * number:g}{classes}"
    yield from _section("What to do", _paragraph(rule.suggestion or ""))
    yield from _section("Automatic fix", [_FIXES[rule.fix]])
    yield from _section("Bad", _examples(rule.examples.get("bad", ())))
    yield from _section("Good", _examples(rule.examples.get("good", ())))


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    body = [f"  {line}".rstrip() for line in lines]
    return ["", title, *body] if body else []


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False)


def _examples(examples: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Each example: what it is about, then its rows, or what else makes it."""
    for example in examples:
        if "about" in example:
            yield f"# {' '.join(str(example['about']).split())}"
        made_of = {k: v for k, v in example.items() if k not in ("about", "rows", "lines", "training")}
        for row in str(example.get("rows", "")).splitlines():
            yield _escaped(row)
        for key, value in made_of.items():
            yield from _made_of(key, value)


def _made_of(key: str, value: object) -> Iterable[str]:
    """One key of an example that is not plain rows: data.yaml text, bytes, files, image."""
    if isinstance(value, dict):
        yield f"{key}:"
        for name, content in value.items():
            text = (
                content
                if isinstance(content, str)
                else ", ".join(f"{k} {v}" for k, v in dict(content).items())
            )
            yield f"  {_escaped(f'{name}: {text}')}"
    elif key == "bytes":  # a character stands for a byte, and which byte is the point
        yield f"bytes: {_escaped(str(value).encode('latin-1').decode('ascii', 'surrogateescape'))}"
    elif isinstance(value, str) and "\n" in value:
        yield f"{key}:"
        yield from (f"  {legible(line)}" for line in value.splitlines())
    else:
        yield f"{key}: {_escaped(str(value))}"


def _escaped(text: str) -> str:
    shown = legible(text)
    return shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…"
