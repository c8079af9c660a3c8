"""A configuration, and the packs and baselines that it names, may come from a stranger: limits, and a sentence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from measured import MOST_SECONDS, SCAN, run_measured
from strange_files import within
from tiny_sets import tiny_set

from sanitizer.cli import main
from sanitizer.config import ConfigError, load_config
from sanitizer.rules.language.pack import PackError, load_rules

if TYPE_CHECKING:
    from pathlib import Path

PACK = """\
- code: X1
  name: own-rule
  scope: row
  severity: warning
  when: w > limit
  params: {limit: 0.9}
  message: "wide"
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Folder of a small dataset, inside a folder that is not part of it."""
    tiny_set(tmp_path / "set")
    return tmp_path / "set"


def refusal(dataset: Path, text: str) -> str:
    (dataset / "sanitize.yaml").write_text(text)
    with within(MOST_SECONDS), pytest.raises(ConfigError) as error:
        load_config(str(dataset))
    (line,) = str(error.value).splitlines()
    assert len(line) < 1000
    return line


@pytest.mark.parametrize("key", ["packs: [{}]", "baseline: {}"])
@pytest.mark.parametrize(
    "name", ["/dev/full", "/etc/passwd", "../rules.yaml", "link.yaml", "https://a.b/c.yaml"]
)
def test_a_configuration_of_the_dataset_names_files_of_the_dataset_only(
    dataset: Path, key: str, name: str
) -> None:
    (dataset.parent / "rules.yaml").write_text(PACK)
    (dataset / "link.yaml").symlink_to("../rules.yaml")
    message = refusal(dataset, f"select: [B]\n{key.format(name)}\n")
    assert f"sanitize.yaml:2: {key.partition(':')[0]}: " in message
    assert "leads out of the dataset" in message
    assert "--config" in message


def test_what_lies_in_the_dataset_may_be_named(dataset: Path) -> None:
    (dataset / "rules").mkdir()
    (dataset / "rules" / "own.yaml").write_text(PACK)
    (dataset / "sanitize.yaml").write_text("packs: [rules/own.yaml]\n")
    (pack,) = load_config(str(dataset)).packs
    assert "X1" in load_rules([pack])


def test_a_configuration_above_the_dataset_or_named_by_the_user_may_name_anything(dataset: Path) -> None:
    rules = dataset.parent / "rules.yaml"
    rules.write_text(PACK)
    (dataset / "sanitize.yaml").write_text(f"packs: [{rules}]\n")
    assert load_config(str(dataset), str(dataset / "sanitize.yaml")).packs == (str(rules),)
    (dataset / "sanitize.yaml").rename(dataset.parent / "sanitize.yaml")
    assert load_config(str(dataset)).packs == (str(rules),)


def test_a_baseline_of_the_dataset_has_a_limit(dataset: Path) -> None:
    (dataset / "known.json").touch()
    os.truncate(dataset / "known.json", 4 << 30)
    assert "larger than 32 MB" in refusal(dataset, "baseline: known.json\n")


@pytest.mark.parametrize("option", ["--config", "--baseline"])
def test_a_pipe_named_by_the_user_is_refused_and_not_waited_for(
    dataset: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(dataset.parent / "pipe.yaml")
    with within(MOST_SECONDS):
        assert main(["scan", str(dataset), "--no-cache", option, str(dataset.parent / "pipe.yaml")]) == 2
    assert "no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_a_pack_that_is_no_file_or_too_long_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "own.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    else:
        path.touch()
        os.truncate(path, 4 << 30)
    with within(MOST_SECONDS), pytest.raises(PackError, match=r"no regular file|too long for a rule pack"):
        load_rules([str(path)])


DIGITS = "9" * 400


VALUES = {
    "an imgsz of 400 digits": (f"imgsz: {DIGITS}", "must be at most 100,000 pixels, not a number of 400 digits"),
    "an imgsz that YAML takes for text": ("imgsz: 1e400", "a whole number of pixels such as 640, not '1e400'"),
    "an imgsz beyond every float": ("imgsz: 1.0e+400", "must be a whole number of pixels such as 640, not inf"),
    "a long number in base 16": (f"imgsz: 0x{'f' * 2000}", "a number of 2,002 characters"),
    "a long number in base 60": (f"imgsz: 1{':1' * 100_000}", "a number of 200,001 characters"),
    "a parameter that no float holds": (
        f"rules: {{B001: {{params: {{max_ratio: {DIGITS}}}}}}}", "must be a number, not a number of 400 digits"),
    "an infinite parameter": ("rules: {B001: {params: {max_ratio: .inf}}}", "must be a number, not inf"),
    "a list for a word": (f"fail-on: [{'x, ' * 9000}]", "must be one of error, warning, info, never, not a list"),
    "a long word": (f"fail-on: {'x' * 900_000}", "must be one of error, warning, info, never"),
    "depth": (f"select: {'[' * 70 + ']' * 70}", "nests values more than 60 deep"),
    "endless depth": (f"select: {'[' * 50_000}", "nesting depth"),
    "aliases of aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 10}]\n" for i in range(1, 10)), "aliases stand"),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_numbers_and_values_beyond_reason_are_a_sentence_with_file_and_line(dataset: Path, case: str) -> None:
    text, words = VALUES[case]
    message = refusal(dataset, f"\n{text}\n")
    assert words in message
    assert "sanitize.yaml:" in message


def test_a_class_of_thousands_of_digits_is_a_name_that_no_class_has(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "sanitize.yaml").write_text(
        f"rules:\n  B001:\n    per_class:\n      '{'9' * 900}': {{max_ratio: 9}}\n"
    )
    with within(MOST_SECONDS):
        assert main(["scan", str(dataset), "--no-cache"]) in (0, 1)
    assert "the dataset has no class '999" in capsys.readouterr().err


@pytest.mark.parametrize("number", [DIGITS, f"1{'0' * 5000}", "1.0e+400"], ids=["long", "longer", "float"])
def test_toml_numbers_beyond_reason_are_a_sentence(dataset: Path, number: str) -> None:
    (dataset / "pyproject.toml").write_text(f"[tool.sanitize]\nimgsz = {number}\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        load_config(str(dataset))


BOMB = "".join(f"  - &a{i} [{f'*a{i - 1},' * 10}]\n" for i in range(1, 10))
PACKS = {
    "aliases of aliases": (PACK + f"  examples:\n  - &a0 [x]\n{BOMB}", "aliases stand for more than"),
    "depth": (PACK + f"  examples: {'[' * 70 + ']' * 70}", "nests values more than 60 deep"),
    "an endless number": (PACK.replace("0.9", "1" + ":1" * 200_000), "a number of 400,001 characters"),
    "a number that no float holds": (PACK.replace("0.9", DIGITS), "own.yaml:6: X1: params: limit must be a number"),
    "infinity": (PACK.replace("0.9", ".inf"), "own.yaml:6: X1: params: limit must be a number"),
    "a key that is a list": (PACK + "  ? [a, b]\n  : c\n", "unknown key"),
    "a long list for a word": (PACK.replace("warning", f"[{'x, ' * 90_000}]"), "own.yaml:4: X1: severity: must be one"),
    "brackets in brackets": (PACK.replace("w > limit", "(" * 400 + "w" + ")" * 400), "no expression"),
    "calls in calls": (PACK.replace("w > limit", "abs(" * 90 + "w" + ")" * 90 + " > 1"), "more than 24 deep"),
    "a power of a power": (PACK.replace("w > limit", "w > 10**10**10"), "a power must be a plain number"),
    "many rules": (PACK * 2000, "has 2,000 rules"),
    "a wide field": (PACK.replace('"wide"', '"{w:999999999}"'), "has no format of the kind"),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("case", PACKS)
def test_a_pack_beyond_a_limit_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    text, words = PACKS[case]
    (tmp_path / "own.yaml").write_text(text)
    with within(MOST_SECONDS), pytest.raises(PackError) as error:
        load_rules([str(tmp_path / "own.yaml")])
    assert words in str(error.value)
    assert len(str(error.value)) < 2500


def test_rules_that_wait_for_each_other_in_a_long_row_are_no_deep_recursion(tmp_path: Path) -> None:
    rules = [
        PACK.replace("X1", f"X{i}").replace("own", f"own-{i}") + f"  unless: [X{i + 1}]\n" for i in range(400)
    ]
    (tmp_path / "own.yaml").write_text("".join(rules) + PACK.replace("X1", "X400"))
    with within(MOST_SECONDS):
        assert "X400" in load_rules([str(tmp_path / "own.yaml")])


def test_a_pack_of_the_dataset_costs_no_memory(dataset: Path) -> None:
    (dataset / "own.yaml").symlink_to("/dev/full")
    (dataset / "sanitize.yaml").write_text("packs: [own.yaml]\n")
    ran = run_measured(SCAN, dataset)
    assert "status 2" in ran.stdout
    assert ran.within_limits()
