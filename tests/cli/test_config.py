"""Configuration files: where they are looked for, what they may say, and how a mistake is told."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import PERCENT, caused, finding, report

from sanitizer.config import Config, ConfigError, RuleConfig, load_config
from sanitizer.findings.baseline import BaselineError, apply_baseline, with_more_findings, write_baseline
from sanitizer.findings.finding import Severity
from sanitizer.util.suggest import did_you_mean

FULL_YAML = """\
select: [B, C001]
ignore: [B012]
rules:
  B001:
    severity: error
    params: {max_ratio: 80}
    per_class: {crack: {max_ratio: 2000}, 3: {max_ratio: 9}}
per-path-ignores: {"labels/old/*": [B005]}
packs: [own.yaml]
baseline: known.json
fail-on: warning
imgsz: 1280
"""
FULL_TOML = """\
[tool.sanitize]
select = ["B", "C001"]
ignore = ["B012"]
packs = ["own.yaml"]
baseline = "known.json"
fail-on = "warning"
imgsz = 1280
[tool.sanitize.per-path-ignores]
"labels/old/*" = ["B005"]
[tool.sanitize.rules.B001]
severity = "error"
params = {max_ratio = 80}
per_class = {crack = {max_ratio = 2000}, 3 = {max_ratio = 9}}
"""


@pytest.mark.parametrize(("name", "text"), [("sanitize.yaml", FULL_YAML), ("pyproject.toml", FULL_TOML)])
def test_both_files_say_the_same_things(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert load_config(str(tmp_path)) == Config(
        select=("B", "C001"),
        ignore=("B012",),
        rules={
            "B001": RuleConfig(Severity.ERROR, {"max_ratio": 80}, {"crack": {"max_ratio": 2000}, 3: {"max_ratio": 9}})
        },
        per_path_ignores={"labels/old/*": ("B005",)},
        packs=(str(tmp_path / "own.yaml"),),
        baseline=str(tmp_path / "known.json"),
        fail_on="warning",
        imgsz=1280,
        source=str(path),
    )  # fmt: skip


def test_without_a_file_everything_is_as_it_is_by_default(tmp_path: Path) -> None:
    assert load_config(str(tmp_path)) == Config()


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({"a/sanitize.yaml": "", "sanitize.yaml": ""}, "a/sanitize.yaml"),
        ({"sanitize.yaml": ""}, "sanitize.yaml"),
        ({"a/pyproject.toml": "[tool.sanitize]", "sanitize.yaml": ""}, "a/pyproject.toml"),
        ({"a/pyproject.toml": "[tool.sanitize]", "a/sanitize.yaml": ""}, "a/sanitize.yaml"),
        ({"a/pyproject.toml": "[tool.other]", "sanitize.yaml": ""}, "sanitize.yaml"),
        ({"a/pyproject.toml": "# [tool.sanitize]", "sanitize.yaml": ""}, "sanitize.yaml"),
        ({"a/pyproject.toml": "broken, but not ours", "sanitize.yaml": ""}, "sanitize.yaml"),
    ],
)
def test_the_nearest_file_is_used(files: dict[str, str], used: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert load_config(str(tmp_path / "a" / "b")).source == str(tmp_path / used)


def test_a_named_file_is_used_in_place_of_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "sanitize.yaml").write_text("imgsz: 320")
    (tmp_path / "other.yaml").write_text("imgsz: 960")
    assert load_config(str(tmp_path), str(tmp_path / "other.yaml")).imgsz == 960


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct: [B]", "sanitize.yaml:1: selct: unknown key (did you mean 'select'?)"),
        ("imgsz: 640\nfail_on: never", "sanitize.yaml:2: fail_on: unknown key (did you mean 'fail-on'?)"),
        ("zzz: 1", "sanitize.yaml:1: zzz: unknown key; known are select, ignore, rules,"),
        ("rules:\n  B001:\n    parms: {}", "sanitize.yaml:3: rules.B001.parms: unknown key (did you mean 'params'?)"),
        ("rules:\n B001:\n  params:\n   a: fifty", "yaml:4: rules.B001.params.a: must be a number, not 'fifty'"),
        ("rules: {B001: {params: {max_ratio: true}}}", "must be a number, not True"),
        ("rules: {B001: {params: {max_ratio: .nan}}}", "must be a number, not nan"),
        ("rules: {B001: {severity: eror}}", "one of info, warning, error, not 'eror' (did you mean 'error'?)"),
        ("rules: {B001: {severity: [x]}}", "rules.B001.severity: must be one of"),
        ("rules: {B001: {per_class: {crack: 2000}}}", "rules.B001.per_class.crack: must be a mapping"),
        ("rules: [B001]", "rules: must be a mapping of key to value, not a list"),
        ("rules: {B001: }", "rules.B001: must be a mapping of key to value, not nothing"),
        ("rules: {1: {}}", "rules: must be a text, not 1"),
        ("select: B001", "select: must be a list of texts such as [B001, C], not 'B001'"),
        ("select: [1]", "select: must be a list of texts such as [B001, C], not a list of other things"),
        ("fail-on: sometimes", "fail-on: must be one of error, warning, info, never, not 'sometimes'"),
        ("imgsz: big", "imgsz: must be a whole number of pixels such as 640, not 'big'"),
        ("imgsz: 0", "imgsz: must be a whole number of pixels"),
        ("imgsz: true", "imgsz: must be a whole number of pixels"),
        ("baseline: ", "baseline: must be a text, not nothing"),
        ("packs: {a: b}", "packs: must be a list of texts"),
        ("- a", "sanitize.yaml: must be a mapping of key to value, not a list"),
        ("true: 1", "True: unknown key"),
        ("select: [B\n", "sanitize.yaml:2: no valid YAML: "),
        ("select: !!python/name:os.system", "sanitize.yaml:1: no valid YAML: "),
        ("imgsz: !!bool x", "sanitize.yaml: no valid YAML: "),
        ("imgsz: !!timestamp x", "sanitize.yaml: no valid YAML: "),
        ("imgsz: !!int ''", "sanitize.yaml: no valid YAML: "),
        ("imgsz: 2000-99-99", "sanitize.yaml: no valid YAML: "),
        ("a: \x07", "sanitize.yaml: no valid YAML: "),
        ("[" * 5000, "sanitize.yaml"),
        ("a" * 1_000_001, "sanitize.yaml: over 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_and_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sanitize.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load_config(str(tmp_path))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[tool.sanitize]\nselct = []", "selct: unknown key (did you mean 'select'?)"),
        (b"[tool.sanitize\n", "no valid TOML"),
        (b"[tool.sanitize]\nx = '\xff'", "no valid TOML"),
        (b"tool.sanitize = 3", "must be a mapping"),
    ],
)
def test_a_mistake_in_toml_is_told_with_its_key(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(str(tmp_path))


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the configuration: No such file"):
        load_config(str(tmp_path), str(tmp_path / "none.yaml"))


@given(st.binary(max_size=80))
def test_no_content_of_a_configuration_gives_anything_but_a_sentence(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in ("sanitize.yaml", "x.toml"):
            path = Path(folder) / name
            path.write_bytes(content)
            try:
                load_config(folder, str(path))
            except ConfigError as error:
                assert str(error).startswith(str(path))


@pytest.mark.parametrize(
    ("word", "hint"),
    [("selct", " (did you mean 'select'?)"), ("SELECT", " (did you mean 'select'?)"), ("zzz", "")],
)
def test_a_guess_is_made_only_where_something_is_near(word: str, hint: str) -> None:
    assert did_you_mean(word, ["select", "ignore"]) == hint


# --- baseline -----------------------------------------------------------------------------------------------

FINDINGS = report(
    [
        finding("C001", "class 7", "labels/b.txt", 3, class_id=7),
        finding("B001", "thin", "labels/a\udcff.txt", 1, x_center=0.5),
    ]
).findings


def test_a_baseline_knows_what_was_written_to_it_and_nothing_else(tmp_path: Path) -> None:
    path = str(tmp_path / "known.json")
    write_baseline(FINDINGS[:1], path)
    assert apply_baseline(FINDINGS, path) == (list(FINDINGS[1:]), 1)


def test_a_baseline_knows_a_row_that_has_moved_to_another_line(tmp_path: Path) -> None:
    path = str(tmp_path / "known.json")
    write_baseline(FINDINGS, path)
    moved = report([finding("C001", "class 7", "labels/b.txt", 99, class_id=7)]).findings
    assert apply_baseline(moved, path) == ([], 1)


def test_causes_explain_what_a_baseline_and_the_selected_rules_leave(tmp_path: Path) -> None:
    before, path = caused(), str(tmp_path / "known.json")
    (known,) = (f for f in before.findings if (f.label, f.line) == ("labels/train/b.txt", 1))
    write_baseline([known], path)
    more = finding("R001", "step 3", image="images/train/a.jpg")
    after = with_more_findings(before, [more], {"C001", "D006"}, path)
    assert (after.suppressed, sorted(f.rule for f in after.findings)) == (1, ["C001", "C001", "D006", "R001"])
    assert [(c.id, c.explains, c.files) for c in after.causes] == [(PERCENT.id, 2, 1)]


def test_a_baseline_can_be_read_by_people_and_is_sorted(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    write_baseline(FINDINGS, str(path))
    content = json.loads(path.read_text())
    assert list(content["findings"].values()) == ["B001 labels/a\\xff.txt", "C001 labels/b.txt"]
    again = path.read_bytes()
    write_baseline(reversed(FINDINGS), str(path))
    assert path.read_bytes() == again


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the baseline: No such file"),
        (b"", "the baseline is no valid JSON; write a new one with"),
        (b'{"schema": 1, "findings": {"a": ', "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"[]", "no baseline of sanitize"),
        (b'{"findings": {}}', "no baseline of sanitize"),
        (b'{"schema": 1, "findings": []}', "no baseline of sanitize"),
        (b'{"schema": 2, "findings": {}}', "a baseline of schema 2, this version reads 1"),
        (b'{"schema": [[1]], "findings": {}}', "a baseline of schema another kind, this version reads 1"),
        (b'{"schema": 1e999, "findings": {}}', "a baseline of schema another kind, this version reads 1"),
        (b'{"schema": 1, "findings": {"a": 1, "a": 2}}', "'a' stands there twice"),
        (b'{"schema": 1, "findings": {"' + b"a" * 999 + b'": 1}}', "has 999 characters"),
        (
            b'{"schema": 1, "findings": {"a": ' + b"[" * 60 + b"]" * 60 + b"}}",
            "nested more than 50 levels deep",
        ),
        (
            b"{" + b",".join(b'"%d": 1' % i for i in range(200)) + b"}",
            "no baseline has over 2,000,000 findings",
        ),
    ],
)
def test_a_damaged_baseline_is_told_in_a_sentence(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "known.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BaselineError, match=message):
        apply_baseline(FINDINGS, str(path))


def test_a_baseline_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "known.json")
    with pytest.raises(BaselineError, match="cannot read the baseline: no regular file"):
        apply_baseline(FINDINGS, str(tmp_path / "known.json"))


def test_a_baseline_of_terabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_bytes(b'{"schema": 1, "findings": {"')
    os.truncate(path, 1 << 40)  # sparse
    with pytest.raises(BaselineError, match=r"known\.json: "):
        apply_baseline(FINDINGS, str(path))
