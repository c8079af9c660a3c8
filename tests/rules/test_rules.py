"""Every rule keeps its own word: it fires on its bad examples, on the lines they say, and not on the good ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from example_files import build, task_of

from sanitizer import scan
from sanitizer.config import Config
from sanitizer.rules.checks import MODULES, READER, chunk_check, survey_check
from sanitizer.rules.language.message import Template
from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sanitizer.findings.finding import Finding
    from sanitizer.rules.language.rule import Rule

RULES = load_rules()

CODES = {
    **{f"L{n:03}": "label files" for n in range(1, 11)},
    **{f"B{n:03}": "boxes" for n in range(1, 13)},
    **{f"C{n:03}": "classes" for n in range(1, 4)},
    **{f"S{n:03}": "polygons" for n in range(1, 6)},
    **{f"K{n:03}": "keypoints" for n in range(1, 5)},
    **{f"O{n:03}": "oriented boxes" for n in range(1, 3)},
    **{f"I{n:03}": "images" for n in range(1, 9)},
    **{f"D{n:03}": "the dataset" for n in range(1, 14)},
    **{f"T{n:03}": "the training recipe (test_recipe.py)" for n in range(1, 26)},
    **{f"F{n:03}": "folders of classes" for n in range(1, 9)},
    **{f"M{n:03}": "masks" for n in range(1, 9)},
    **{f"G{n:03}": "gradients (test_probe.py)" for n in range(1, 9)},
}
"""The rules that users were promised, by what they are about."""


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(
            rule, example, id=f"{rule.code}-{number}-{str(example.get('about', kind)).replace(' ', '_')}"
        )
        for rule in RULES.values()
        if rule.scope != "recipe" and not rule.code.startswith("G")  # a scan never fires these
        for number, example in enumerate(rule.examples[kind], 1)
    ]


def findings_of(rule: Rule, example: Mapping[str, Any], folder: Path) -> list[Finding]:
    """What one rule finds in its example, through the whole scan."""
    data_yaml = build(example, folder / "example", rule.tasks)
    report = scan(
        data_yaml,
        config=Config(select=(rule.code,)),
        task=task_of(example, rule.tasks),  # type: ignore[arg-type]
        images=example.get("images", "decode"),
        jobs=1,
        cache=False,
    )
    assert {f.rule for f in report.findings} <= {rule.code}
    return list(report.findings)


@pytest.mark.parametrize(("rule", "example"), examples("bad"))
def test_a_rule_fires_on_its_bad_examples(rule: Rule, example: Mapping[str, Any], tmp_path: Path) -> None:
    findings = findings_of(rule, example, tmp_path)
    assert findings
    if "lines" in example:
        assert sorted(f.line or 0 for f in findings) == sorted(example["lines"])
    for finding in findings:
        assert finding.file
        assert finding.suggestion
        assert finding.message == finding.message.strip()
        own_words = re.sub(r"'[^']*'", "", finding.message)
        assert not re.search(r"[{}]|\bnan\b|\binf\b|None", own_words), finding.message


@pytest.mark.parametrize(("rule", "example"), examples("good"))
def test_a_rule_is_silent_on_its_good_examples(
    rule: Rule, example: Mapping[str, Any], tmp_path: Path
) -> None:
    assert [f.message for f in findings_of(rule, example, tmp_path)] == []


def test_every_promised_rule_is_there() -> None:
    assert sorted(code for code, rule in RULES.items() if rule.built_in) == sorted(CODES)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_explains_itself(rule: Rule) -> None:
    assert rule.examples["bad"]
    assert rule.examples["good"]
    assert len(rule.why.split()) >= 15
    assert rule.training_note
    assert rule.training_note.endswith(".")
    assert rule.suggestion
    assert Template(rule.message).text == rule.message


@pytest.mark.parametrize(
    "rule", [r for r in RULES.values() if r.check not in (None, READER)], ids=lambda r: r.code
)
def test_a_named_check_is_of_the_scope_of_its_rule(rule: Rule) -> None:
    assert rule.check
    assert callable(
        survey_check(rule.check) if rule.scope == "dataset" else chunk_check(rule.check, rule.scope)
    )


def test_every_named_check_has_a_rule() -> None:
    assert set(MODULES) == {r.check for r in RULES.values()} - {None, READER}
