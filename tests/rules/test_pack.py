"""Rule packs: what may stand in one, and what is said of a pack that is wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sanitizer.findings.finding import Severity
from sanitizer.rules.language.message import Template, TemplateError
from sanitizer.rules.language.pack import PackError, built_in_folder, load_rules
from sanitizer.rules.language.rule_node import RuleNode
from sanitizer.rules.language.yaml_nodes import compose, plain

if TYPE_CHECKING:
    from sanitizer.rules.language.rule import Rule

RULE = """\
- code: TEAM1
  name: long-thing
  scope: row
  severity: warning
  tasks: [segment, detect]
  when: aspect > max_ratio and not is_pose
  value: aspect
  threshold: max_ratio
  params: {max_ratio: 20}
  unless: [B002]
  message: "{value:.1f}:1 for {class_name}, limit {threshold:.0f}"
  suggestion: "Look at it."
  examples:
    bad: [{rows: "0 0.5 0.5 0.9 0.01"}]
"""


def load(folder: Path, text: str) -> dict[str, Rule]:
    pack = folder / "team.yaml"
    pack.write_text(text, encoding="utf-8")
    return load_rules([str(pack)])


def test_a_rule_is_what_its_pack_says(tmp_path: Path) -> None:
    rule = load(tmp_path, RULE)["TEAM1"]
    assert (rule.name, rule.scope, rule.severity, rule.when, rule.check) == (
        "long-thing",
        "row",
        Severity.WARNING,
        "aspect > max_ratio and not is_pose",
        None,
    )
    assert rule.params == {"max_ratio": 20.0}
    assert rule.tasks == ("detect", "segment")
    assert rule.unless == ("B002",)
    assert (rule.line, rule.source, rule.built_in) == (1, str(tmp_path / "team.yaml"), False)
    assert rule.examples == {"bad": [{"rows": "0 0.5 0.5 0.9 0.01"}], "good": []}
    assert rule.fix is None


def keys_and_lines(pack: Path, built_in: bool) -> list[dict[str, tuple[Any, int]]]:
    """Each rule's keys but its examples: value and line."""
    root = compose(str(pack), built_in)
    assert root is not None
    return [
        {
            key.value: (plain(str(pack), value), key.start_mark.line)
            for key, value in rule.value
            if key.value != "examples"
        }
        for rule in root.value
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_pack_of_the_program_says_the_same_without_its_examples(tmp_path: Path, newline: str) -> None:
    packs = sorted(Path(built_in_folder()).glob("*.yaml"))
    assert packs
    for pack in packs:
        copy = tmp_path / pack.name
        copy.write_text(pack.read_text(encoding="utf-8"), encoding="utf-8", newline=newline)
        root = compose(str(copy), built_in=True)
        assert root is not None
        assert not any(key.value == "examples" for rule in root.value for key, _ in rule.value)
        assert keys_and_lines(copy, built_in=True) == keys_and_lines(pack, built_in=False)


def test_rules_of_the_program_are_as_sound_as_those_of_a_user_must_be() -> None:
    for pack in sorted(Path(built_in_folder()).glob("*.yaml")):
        root = compose(str(pack))
        assert root is not None
        for node in root.value:
            rule = RuleNode(str(pack), node, built_in=True)
            rule.check(rule.rule())


def test_a_rule_that_takes_the_params_of_none_is_said(tmp_path: Path) -> None:
    text = "- {code: TEAM1, name: twice, scope: dataset, severity: info, check: duplicate-images, "
    text += "params_of: D0009, message: m}"
    with pytest.raises(
        PackError, match=r"team.yaml:1: params_of of TEAM1: there is no rule 'D0009' \(did you"
    ):
        load(tmp_path, text)


def test_a_users_rule_stands_beside_the_built_in_ones(tmp_path: Path) -> None:
    assert set(load(tmp_path, RULE)) == {*load_rules(), "TEAM1"}


@pytest.mark.parametrize("code", ["IMG1", "G1", "T1", "D1"])
def test_a_rule_is_about_its_scope_unless_it_says_otherwise(tmp_path: Path, code: str) -> None:
    text = RULE.replace("TEAM1", code)
    assert load(tmp_path, text)[code].about == "row"
    assert load(tmp_path, text.replace("scope: row", "scope: row\n  about: image"))[code].about == "image"


def test_an_empty_pack_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing yet\n") == load_rules()


def test_a_number_will_do_as_threshold(tmp_path: Path) -> None:
    rule = load(tmp_path, RULE.replace("threshold: max_ratio", "threshold: 20"))["TEAM1"]
    assert rule.threshold == "20"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "severity: warning",
            "severty: warning",
            4,
            "TEAM1: unknown key 'severty' (did you mean 'severity'?)",
        ),
        (
            "severity: warning",
            "severity: warn",
            4,
            "severity: must be one of info, warning, error, not 'warn'",
        ),
        ("severity: warning\n", "\n", 1, "the key 'severity' is missing"),
        (
            "scope: row",
            "scope: rows",
            3,
            "scope: must be one of row, file, dataset, recipe, not 'rows' (did you mean 'row'?)",
        ),
        ("scope: row", "scope: dataset", 3, "a rule with 'when' is of scope row, file or recipe"),
        (
            "scope: row",
            "scope: row\n  about: imge",
            4,
            "about: must be one of row, file, image, dataset, recipe, gradient, not 'imge' (did you mean 'image'?)",
        ),
        ("scope: row", "scope: row\n  about: recipe", 4, "a rule of scope row cannot be about recipe"),
        ("scope: row", "scope: row\n  about: gradient", 4, "only built-in rules judge gradients"),
        ("scope: row", "scope: row\n  kind: background", 4, "only built-in rules have a kind"),
        ("code: TEAM1", "code: team1", 1, "'team1' is no code"),
        ("code: TEAM1", "code: 17", 1, "must be a text, not 17"),
        ("code: TEAM1", "code: B001", 1, "B001 is already a rule of"),
        ("name: long-thing", "name: Long Thing", 2, "small-letters-and-dashes"),
        ("name: long-thing", "name: near-duplicate", 1, "the name 'near-duplicate' is taken by B008"),
        (
            "tasks: [segment, detect]",
            "tasks: [segmnt]",
            5,
            "no task: there are detect, segment, semantic, classify, pose, obb",
        ),
        ("tasks: [segment, detect]", "tasks: detect", 5, "must be a list"),
        (
            "when: aspect > max_ratio",
            "when: aspct > max_ratio",
            6,
            "'aspct' is no name here (did you mean 'aspect'?)",
        ),
        ("when: aspect > max_ratio and not is_pose", "when: aspect", 6, "compare it with something"),
        ("value: aspect", "value: aspect > 1", 7, "a number is needed here"),
        ("threshold: max_ratio", "threshold: max_ration", 8, "did you mean 'max_ratio'"),
        ("params: {max_ratio: 20}", "params: {max_ratio: many}", 9, "max_ratio must be a number, not 'many'"),
        (
            "params: {max_ratio: 20}",
            "params: {max_ratio: 20, w: 1}",
            9,
            "'w' is already the name of a column",
        ),
        ("params: {max_ratio: 20}", "params: [max_ratio]", 9, "must be a mapping of name to number"),
        ("unless: [B002]", "unless: [B0002]", 1, "there is no rule 'B0002' (did you mean 'B002'?)"),
        ("unless: [B002]", "unless: [L003]", 1, "L003 is of scope file, not row"),
        ("unless: [B002]", "unless: [TEAM1]", 1, "wait for each other"),
        ("unless: [B002]", "params_of: D009", 10, "only for rules with 'check'"),
        ("{value:.1f}", "{valeu:.1f}", 11, "there is no {valeu} (did you mean 'value'?)"),
        ("{value:.1f}", "{value.real}", 11, "{value.real} is not allowed"),
        ("{value:.1f}", "{value:>9999}", 11, "has no format of the kind"),
        ("suggestion:", "message:", 12, "the key 'message' stands here twice"),
        (
            "when: aspect > max_ratio and not is_pose",
            "check: reader",
            6,
            "only built-in rules come from a reader",
        ),
        ("when: aspect > max_ratio and not is_pose", "check: near-dup", 6, "there is no check 'near-dup'"),
        (
            "  when: aspect > max_ratio and not is_pose\n",
            "",
            1,
            "either 'when' with an expression or 'check'",
        ),
        ("scope: row", "scope: [row", None, "no valid YAML"),
        (
            "- code: TEAM1",
            "- !!python/object/apply:os.system ['true']\n- code: TEAM1",
            1,
            "a rule is a mapping",
        ),
        ("scope: row", "scope: !!python/name:os.system ''", 3, "no valid YAML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    tmp_path: Path, old: str, new: str, line: int | None, said: str
) -> None:
    assert old in RULE
    with pytest.raises(PackError) as caught:
        load(tmp_path, RULE.replace(old, new, 1))
    text = str(caught.value)
    assert said in text
    assert text.startswith(f"{tmp_path / 'team.yaml'}:{line or ''}"), text


def test_a_wrong_expression_is_shown_with_a_caret_and_its_column(tmp_path: Path) -> None:
    with pytest.raises(PackError) as caught:
        load(tmp_path, RULE.replace("not is_pose", "not is_pos"))
    assert str(caught.value) == textwrap.dedent(f"""\
        {tmp_path / "team.yaml"}:6:36: TEAM1: when: 'is_pos' is no name here (did you mean 'is_pose'?)
            aspect > max_ratio and not is_pos
                                       ^""")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("code: X1\n", "a rule pack is a list of rules"),
        ("- X1\n", "a rule is a mapping that begins with 'code:'"),
        ("- {1: 2}\n", "unknown key '1'"),
        ("- {[1, 2]: 3}\n", "unknown key"),
        ("\x00", "no valid YAML"),
        (RULE + RULE, "TEAM1 is already a rule of"),
        (
            RULE.replace("[B002]", "[TEAM2]")
            + RULE.replace("1", "2", 1).replace("long", "wide").replace("B002", "TEAM1"),
            "TEAM1 and TEAM2 wait for each other",
        ),
    ],
)
def test_what_is_no_pack_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PackError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)


def test_a_pack_that_is_not_there_is_said() -> None:
    with pytest.raises(PackError, match=r"nowhere\.yaml: cannot read the rule pack: No such file"):
        load_rules(["/tmp/nowhere.yaml"])


# --- message templates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("{v:.0f}:1", 62.4, "62:1"),
        ("{v}", 3.0, "3"),
        ("{v}", 0.123456789, "0.123457"),
        ("{v:d}", 3.0, "3"),
        ("{v:,}", 1234567, "1,234,567"),
        ("{v:.1%}", 0.25, "25.0%"),
        ("100 % of {v:s}", "cat", "100 % of cat"),
        ("{{{v}}}", "x", "{x}"),
        ("{v:.0f} px", np.nan, "? px"),
        ("{v:.0f}", np.inf, "∞"),
        ("{v}", None, "?"),
        ("{v:.2f}", "text", "text"),
        ("{v}", "%s {w}", "%s {w}"),
        ("{v}", "x" * 1000, "x" * 199 + "…"),
    ],
)
def test_a_field_reads_well_whatever_its_value(template: str, value: object, expected: str) -> None:
    assert Template(template).render_one({"v": value}.__getitem__) == expected
    column = np.array([value, value]) if isinstance(value, float) else [value, value]
    assert Template(template).render(lambda name: column, 2) == [expected, expected]


@pytest.mark.parametrize("field", ["detail", "problem", "fate"])
def test_words_of_a_check_are_kept_to_their_end_and_only_long_values_in_them_are_cut(field: str) -> None:
    words = (
        "`train: images` does not exist (looked in "
        + ", ".join(f"/data/set{i}" for i in range(40))
        + "); run git lfs pull"
    )
    assert len(words) > 500
    assert Template(f"{{{field}}}").render_one({field: words}.__getitem__) == words
    path = "/data/" + "a" * 3000 + "/b.txt"
    message = Template(f"{{{field}}}: fix it").render_one(
        {field: f"no file {path}, or no right to read it"}.__getitem__
    )
    assert message.startswith("no file /data/aaa")
    assert message.endswith("/b.txt, or no right to read it: fix it")
    assert len(message) < 300
    assert len(Template(f"{{{field}}}").render_one({field: "a b " * 9000}.__getitem__)) == 2000


@pytest.mark.parametrize(
    "text",
    [
        "{v.x}",
        "{v[0]}",
        "{v!r}",
        "{}",
        "{0}",
        "{v:{w}}",
        "{v:>9999}",
        "{v:.999f}",
        "{",
        "}",
        "{__class__}",
        "{v",
        "{v:x}",
    ],
)
def test_a_template_reaches_into_nothing(text: str) -> None:
    with pytest.raises(TemplateError):
        Template(text)
