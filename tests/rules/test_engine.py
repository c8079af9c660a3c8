"""The rule engine on small tables: where rules fire, what their findings say, and what the configuration changes."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from surveys import surveyed

from sanitizer.config import Config, ConfigError, RuleConfig
from sanitizer.dataset.model import Dataset
from sanitizer.dataset.tables import Chunk, ChunkTables, DatasetFault, Fault, TaskSpec
from sanitizer.findings.finding import MAX_PER_FILE, Finding, Severity
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules import checks, engine
from sanitizer.rules.engine import CheckError, RuleSet, dataset_findings, run_chunk, summarise
from sanitizer.rules.hits import Hits, Params
from sanitizer.rules.language.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sanitizer.rules.survey import Survey

ROOT = "/data/set"
DETECT = TaskSpec("detect", 3, {0: "cat", 1: "dog", 2: "crack"})


def rule(code: str = "X1", **changes: Any) -> Rule:
    """A rule that fires on boxes over 10:1."""
    fields: dict[str, Any] = {
        "code": code,
        "name": f"rule-{code.lower()}",
        "scope": "row",
        "severity": Severity.WARNING,
        "message": "over {max_ratio}:1",
        "suggestion": "Look at it.",
    }
    if not {"when", "check"} & set(changes):
        fields |= {"when": "aspect > max_ratio", "params": {"max_ratio": 10.0}}
    return Rule(**fields | changes)


def tables(*labels: str, size: tuple[int, int] | None = (640, 480)) -> ChunkTables:
    """One pair for each label text; images of that size, or of unknown size."""
    n = len(labels)
    images = read_images([None] * n, "none")
    if size is not None:
        images = replace(images, width=np.full(n, size[0], np.int32), height=np.full(n, size[1], np.int32))
    paths = [
        f"{ROOT}/{kind}/train/{i}.{ending}"
        for kind, ending in (("images", "jpg"), ("labels", "txt"))
        for i in range(n)
    ]
    return ChunkTables(
        Chunk("train", paths[:n], paths[n:]), parse_labels([text.encode() for text in labels], DETECT), images
    )


def ruleset(*rules: Rule, **config: Any) -> RuleSet:
    return RuleSet.build({r.code: r for r in rules}, Config(**config))


def judge(
    read: ChunkTables, *rules: Rule, spec: TaskSpec = DETECT, readers: bool = False, **config: Any
) -> list[Finding]:
    """Findings of these rules alone; what readers report is left out unless asked for."""
    if not readers:
        read = replace(read, labels=replace(read.labels, faults=()))
    return run_chunk(read, spec, ruleset(*rules, **config), ROOT)


def lines(findings: Iterable[Finding]) -> list[tuple[str, int | None]]:
    return [(f.rule, f.line) for f in findings]


LONG = "0 0.5 0.5 0.9 0.01\n"
SQUARE = "1 0.5 0.5 0.3 0.4\n"


# --- findings --------------------------------------------------------------------------------------------------


def test_of_one_file_a_rule_explains_so_many_rows_and_counts_the_rest() -> None:
    at_limit, over = LONG * MAX_PER_FILE, SQUARE + LONG * (MAX_PER_FILE + 1) + SQUARE + LONG * 499
    found = judge(tables(at_limit, over, LONG), rule())
    by_file = [[f for f in found if f.label == f"labels/train/{i}.txt"] for i in range(3)]
    assert [len(of_file) for of_file in by_file] == [MAX_PER_FILE, MAX_PER_FILE + 1, 1]
    closing = [f for f in found if f.message != "over 10:1"]
    assert [(f.rule, f.file, f.line, f.severity) for f in closing] == [
        ("X1", "labels/train/1.txt", MAX_PER_FILE + 2, Severity.WARNING)
    ]
    assert closing[0].message.startswith("the same is wrong with 500 more rows of this file")


def test_a_finding_carries_the_row_it_is_about() -> None:
    long = rule(
        value="aspect", threshold="max_ratio", fix="unsafe", message="{value:.0f}:1 {class_name} line {line}"
    )
    (finding,) = judge(tables(SQUARE, SQUARE + LONG), long)
    assert finding == Finding(
        rule="X1",
        name="rule-x1",
        severity=Severity.WARNING,
        message="120:1 cat line 2",
        split="train",
        image="images/train/1.jpg",
        label="labels/train/1.txt",
        line=2,
        class_id=0,
        class_name="cat",
        x_center=0.5,
        y_center=0.5,
        width=0.9,
        height=0.01,
        value=120.0,
        threshold=10.0,
        suggestion="Look at it.",
        fix="unsafe",
        file="labels/train/1.txt",
    )


def test_numbers_that_are_not_finite_stay_out_of_a_finding() -> None:
    flat = rule(value="aspect", message="{value:.0f}:1")
    (finding,) = judge(tables("0 0.5 0.5 0.9 0\n"), flat)
    assert finding.value is None
    assert finding.message == "∞:1"


def test_a_class_that_is_no_integer_is_no_class() -> None:
    (finding,) = judge(tables("1.5 0.5 0.5 0.9 0.01\n"), rule(message="{class_id}"))
    assert (finding.class_id, finding.class_name, finding.message) == (None, None, "1.5")


def test_a_file_rule_is_about_a_pair_and_opens_what_it_is_about() -> None:
    crowded = rule("X1", scope="file", when="n_rows > 1", message="{n_rows} rows on {img_w}x{img_h}")
    wide = rule("I100", scope="file", about="image", when="img_w > 600", message="{img_w} px")
    findings = judge(tables(SQUARE, SQUARE * 2), crowded, wide)
    assert [(f.rule, f.file, f.line, f.message) for f in findings] == [
        ("X1", "labels/train/1.txt", None, "2 rows on 640x480"),
        ("I100", "images/train/0.jpg", None, "640 px"),
        ("I100", "images/train/1.jpg", None, "640 px"),
    ]


def test_a_label_without_image_and_an_image_without_label() -> None:
    read = tables(LONG, "")
    read = replace(
        read, chunk=Chunk("", [None, f"{ROOT}/images/train/1.jpg"], [f"{ROOT}/labels/train/0.txt", None])
    )
    findings = judge(read, rule(), rule("X2", scope="file", when="n_rows < 1", message="none"))
    assert [(f.split, f.image, f.label, f.file) for f in findings] == [
        (None, None, "labels/train/0.txt", "labels/train/0.txt"),
        (None, "images/train/1.jpg", None, "images/train/1.jpg"),
    ]


def test_a_chunk_without_any_row_gives_nothing() -> None:
    assert judge(tables("", ""), rule()) == []
    assert judge(tables(), rule(), rule("X2", scope="file", when="n_rows < 1", message="none")) == []


# --- what expressions may name ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "0.5"),
        ("y", "0.25"),
        ("w", "0.25"),
        ("h", "0.125"),
        ("x1", "0.375"),
        ("x2", "0.625"),
        ("y1", "0.1875"),
        ("y2", "0.3125"),
        ("area", "0.03125"),
        ("w_px", "80"),
        ("h_px", "80"),
        ("w_net", "160"),
        ("h_net", "160"),
        ("net_scale", "2"),
        ("aspect", "1"),
        ("class_id", "2"),
        ("nc", "3"),
        ("columns", "5"),
        ("img_w", "320"),
        ("img_h", "640"),
        ("imgsz", "1280"),
        ("line", "1"),
    ],
)
def test_columns_of_a_row(name: str, expected: str) -> None:
    always = rule(when="class_id >= 0", message=f"{{{name}}}")
    (finding,) = judge(tables("2 0.5 0.25 0.25 0.125\n", size=(320, 640)), always, imgsz=1280)
    assert finding.message == expected


def test_pixels_are_those_of_the_upright_image() -> None:
    read = tables("2 0.5 0.25 0.25 0.125\n", size=(640, 320))
    read = replace(read, images=replace(read.images, orientation=np.array([6], np.uint8)))
    (finding,) = judge(read, rule(when="w > 0", message="{img_w}x{img_h} {w_px}x{h_px}"))
    assert finding.message == "320x640 80x80"


def test_without_the_image_pixels_are_unknown_and_aspect_is_normalised() -> None:
    read = tables("0 0.5 0.5 0.5 0.01\n", size=None)
    assert judge(read, rule(when="w_px < 10", message="")) == []
    assert judge(read, rule(when="not w_px < 10", message="")) == []
    (finding,) = judge(read, rule(when="aspect > 49", message="{aspect:.0f}:1, {w_px:.0f} px"))
    assert finding.message == "50:1, ? px"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("0 0.5 0.5 0.3 0.4", "is_box"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", "is_polygon"),
        ("0 cat 0.5 0.3 0.4", "is_faulty"),
    ],
)
def test_kinds_of_rows(row: str, kind: str) -> None:
    for name in ("is_box", "is_polygon", "is_pose", "is_obb", "is_faulty"):
        assert len(judge(tables(row + "\n"), rule(when=name, message="{kind}"))) == (name == kind)


@pytest.mark.parametrize("row", ["0 0.5 0.5 0.3", "0 cat 0.5 0.3 0.4", "0 nan nan nan nan"])
@pytest.mark.parametrize("when", ["w > 0", "not w > 0", "x != 2", "not (x < 1 and y < 1)", "aspect > 0"])
def test_no_geometry_rule_fires_on_a_row_that_cannot_be_read(row: str, when: str) -> None:
    assert judge(tables(row + "\n"), rule(when=when, message="")) == []


def test_judging_infinities_gives_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = tables("0 inf 0.5 0.3 1e308\n0 0 0 0 0\n")
        judge(
            read,
            rule(message="{aspect}{x1}{w_net}{area}{h_px}"),
            rule("X2", when="w >= 0", message="{y2}{x2}{area}"),
        )


# --- precedence ------------------------------------------------------------------------------------------------


FLAT = {"when": "h <= 0", "message": "flat"}


def test_a_rule_is_silent_where_another_fires_that_it_gives_way_to() -> None:
    read = tables("0 0.5 0.5 0.9 0\n" + LONG)
    assert lines(judge(read, rule("X1"), rule("X2", **FLAT))) == [("X1", 1), ("X1", 2), ("X2", 1)]
    assert lines(judge(read, rule("X1", unless=("X2",)), rule("X2", **FLAT))) == [("X1", 2), ("X2", 1)]


def test_it_gives_way_to_a_rule_that_is_not_selected_too() -> None:
    read = tables("0 0.5 0.5 0.9 0\n" + LONG)
    assert lines(judge(read, rule("X1", unless=("X2",)), rule("X2", **FLAT), ignore=("X2",))) == [("X1", 2)]


def test_but_not_to_a_rule_for_another_task() -> None:
    read = tables("0 0.5 0.5 0.9 0\n")
    flat = rule("X2", **FLAT, tasks=("segment",))
    assert lines(judge(read, rule("X1", unless=("X2",)), flat)) == [("X1", 1)]


def test_giving_way_is_followed_through() -> None:
    # X3 gives way to X2, but X2 is silent itself where X1 fires.
    read = tables("0 0.5 0.5 0.9 0\n")
    all_three = (
        rule("X1", **FLAT),
        rule("X2", **FLAT, unless=("X1",)),
        rule("X3", **FLAT, unless=("X2",)),
    )
    assert lines(judge(read, *all_three)) == [("X1", 1), ("X3", 1)]


def test_a_file_rule_gives_way_to_what_a_reader_reports() -> None:
    read = tables(SQUARE, SQUARE)
    read = replace(read, labels=replace(read.labels, faults=(Fault("X2", 0),)))
    reported = rule("X2", scope="file", check="reader", message="bad")
    full = rule("X1", scope="file", when="n_rows > 0", message="full", unless=("X2",))
    findings = judge(read, full, reported, readers=True)
    assert [(f.rule, f.file) for f in findings] == [
        ("X1", "labels/train/1.txt"),
        ("X2", "labels/train/0.txt"),
    ]


# --- configuration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"B1", "B10", "C1"}),
        ({"select": ("B",)}, {"B1", "B10"}),
        ({"select": ("B1",)}, {"B1"}),
        ({"select": ("B", "C1"), "ignore": ("B10",)}, {"B1", "C1"}),
        ({"select": ()}, set()),
        ({"ignore": ("B", "C")}, set()),
    ],
)
def test_select_and_ignore_take_codes_and_prefixes(config: Mapping[str, Any], expected: set[str]) -> None:
    assert set(ruleset(rule("B1"), rule("B10"), rule("C1"), **config).rules) == expected


def test_severity_and_parameters_can_be_changed() -> None:
    change = {"X1": RuleConfig(severity=Severity.ERROR, params={"max_ratio": 130.0})}
    assert judge(tables(LONG), rule(), rules=change) == []
    (finding,) = judge(tables("0 0.5 0.5 0.9 0.005\n"), rule(), rules=change)
    assert (finding.severity, finding.message) == (Severity.ERROR, "over 130:1")


@pytest.mark.parametrize("key", [0, "cat"])
def test_a_parameter_can_differ_for_a_class(key: int | str) -> None:
    change = {"X1": RuleConfig(per_class={key: {"max_ratio": 500.0}})}
    read = tables(LONG + LONG.replace("0 ", "1 ", 1))
    findings = judge(read, rule(threshold="max_ratio"), rules=change)
    assert [(f.line, f.message, f.threshold) for f in findings] == [(2, "over 10:1", 10.0)]


def test_a_class_name_that_the_dataset_does_not_have_is_noticed() -> None:
    rules = ruleset(
        rule(), rules={"X1": RuleConfig(per_class={"crak": {"max_ratio": 5.0}, "dog": {}, 7: {}})}
    )
    assert rules.unknown_classes(DETECT) == [
        "rules.X1.per_class: the dataset has no class 'crak' (did you mean 'crack'?)"
    ]


def test_a_rule_runs_only_for_its_tasks() -> None:
    assert judge(tables(LONG), rule(tasks=("segment", "pose"))) == []
    assert judge(tables(LONG), rule(tasks=("detect",)))


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("labels/train/0.txt", [2]),
        ("images/train/0.jpg", [2]),
        ("0.txt", [2]),
        ("labels/*", []),
        ("labels/**", []),
        ("labels/", []),
        ("*.txt", []),
        ("train/*", [1, 2]),
        ("other/*", [1, 2]),
    ],
)
def test_rules_can_be_ignored_by_path(glob: str, left: list[int]) -> None:
    read = tables(LONG, "\n" + LONG)
    assert [f.line for f in judge(read, rule(), per_path_ignores={glob: ("X",)})] == left
    assert [f.line for f in judge(read, rule(), rule("Y1", **FLAT), per_path_ignores={glob: ("Y1",)})] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"select": ("XX1",)}, "select: no rule has the code or prefix 'XX1' (did you mean 'X1'?)"),
        ({"select": ("rule-x1",)}, "no rule has the code or prefix 'rule-x1' (did you mean 'X1'?)"),
        ({"ignore": ("Q",)}, "ignore: no rule has the code or prefix 'Q'"),
        ({"ignore": ("",)}, "ignore: no rule has the code or prefix ''"),
        ({"per_path_ignores": {"a/*": ("Q",)}}, "per-path-ignores.a/*: no rule has the code or prefix 'Q'"),
        ({"rules": {"X11": RuleConfig()}}, "rules.X11: there is no such rule (did you mean 'X1'?)"),
        (
            {"rules": {"X1": RuleConfig(params={"max_ration": 1.0})}},
            "rules.X1.params: there is no parameter 'max_ration' (did you mean 'max_ratio'?)",
        ),
        (
            {"rules": {"X1": RuleConfig(per_class={"cat": {"limit": 1.0}})}},
            "rules.X1.per_class.cat: there is no parameter 'limit': it has max_ratio",
        ),
    ],
)
def test_what_does_not_exist_is_refused(config: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ruleset(rule(), source="/x/sanitize.yaml", **config)
    assert str(caught.value).startswith("/x/sanitize.yaml: ")
    assert said in str(caught.value)


def test_the_digest_follows_everything_that_can_change_a_finding() -> None:
    def digest(*rules: Rule, **config: Any) -> str:
        return ruleset(*rules, **config).digest

    plain = digest(rule())
    assert plain == digest(rule()) == digest(rule(source="elsewhere", line=7))
    changed = [
        digest(rule(message="other")),
        digest(rule(severity=Severity.INFO)),
        digest(rule(), rule("X2", **FLAT)),
        digest(rule(), select=()),
        digest(rule(), imgsz=320),
        digest(rule(), rules={"X1": RuleConfig(params={"max_ratio": 11.0})}),
        digest(rule(), rules={"X1": RuleConfig(severity=Severity.WARNING)}),
        digest(rule(), rules={"X1": RuleConfig(per_class={0: {"max_ratio": 11.0}})}),
        digest(rule(), per_path_ignores={"a": ("X1",)}),
        digest(rule(unless=("X2",)), rule("X2", **FLAT), ignore=("X2",)),
        digest(rule(unless=("X2",)), rule("X2", when="h < 0", message="flat"), ignore=("X2",)),
    ]
    assert len({plain, *changed}) == len(changed) + 1


def test_a_ruleset_travels_to_another_process() -> None:
    rules = ruleset(rule(), rules={"X1": RuleConfig(per_class={"dog": {"max_ratio": 500.0}})})
    sent = pickle.loads(pickle.dumps(rules))
    assert sent == rules
    assert lines(run_chunk(tables(LONG), DETECT, sent, ROOT)) == [("X1", 1)]


# --- faults of readers -----------------------------------------------------------------------------------------


REPORTED = rule("X9", scope="file", check="reader", message="{token} on {img_w}", severity=Severity.ERROR)


def with_faults(*faults: Fault) -> ChunkTables:
    read = tables(SQUARE + "0 cat 0.5 0.3 0.4\n")
    return replace(read, labels=replace(read.labels, faults=faults))


def test_a_fault_becomes_a_finding_of_its_rule() -> None:
    (finding,) = judge(
        with_faults(Fault("X9", 0, 2, 3, {"token": "cat", "value": 7})), REPORTED, readers=True
    )
    assert (finding.message, finding.line, finding.column, finding.file) == (
        "cat on 640",
        2,
        3,
        "labels/train/0.txt",
    )
    assert (finding.value, finding.width, finding.suggestion) == (7.0, None, "Look at it.")


def test_a_fault_on_a_row_that_can_be_read_carries_the_row() -> None:
    (finding,) = judge(with_faults(Fault("X9", 0, 1, None, {"token": ""})), REPORTED, readers=True)
    assert (finding.class_name, finding.width, finding.height) == ("dog", 0.3, 0.4)


def test_a_fault_may_be_milder_or_worse_than_its_rule_but_the_user_has_the_last_word() -> None:
    read = with_faults(Fault("X9", 0, 2, values={"token": ""}, severity=Severity.INFO, suggestion="Nothing."))
    (finding,) = judge(read, REPORTED, readers=True)
    assert (finding.severity, finding.suggestion) == (Severity.INFO, "Nothing.")
    (finding,) = judge(read, REPORTED, readers=True, rules={"X9": RuleConfig(severity=Severity.WARNING)})
    assert finding.severity is Severity.WARNING


def test_faults_can_be_ignored() -> None:
    read = with_faults(Fault("X9", 0, 2, values={"token": ""}))
    assert judge(read, REPORTED, readers=True, ignore=("X9",)) == []
    assert judge(read, REPORTED, readers=True, per_path_ignores={"*.txt": ("X9",)}) == []
    assert judge(read, replace(REPORTED, tasks=("pose",)), readers=True) == []


# --- named checks ----------------------------------------------------------------------------------------------


@pytest.fixture
def named_check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers a check for one test."""
    registry = dict(checks._REGISTRY)
    monkeypatch.setattr(checks, "_REGISTRY", registry)

    def add(scope: str, function: Any) -> str:
        registry["test-check"] = (scope, function)
        return "test-check"

    return add


def test_a_named_check_says_where_and_how_much(named_check: Any) -> None:
    def check(read: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
        assert (params["limit"], params["imgsz"]) == (3.0, 640.0)
        index = np.array([0, 2])
        return Hits(
            index,
            value=np.array([0.5, np.nan]),
            fields={"other": [7, 8]},
            line=np.array([9, 0]),
            column=np.array([0, 4]),
            severity=[Severity.INFO, Severity.ERROR],
        )

    name = named_check("row", check)
    named = rule(check=name, params={"limit": 3.0}, message="{other} {value:.1f} {class_name} {limit}")
    findings = judge(tables(SQUARE * 2, LONG), named)
    assert [(f.message, f.line, f.column, f.value, f.severity) for f in findings] == [
        ("7 0.5 dog 3", 9, None, 0.5, Severity.INFO),
        ("8 ? cat 3", None, 4, None, Severity.ERROR),
    ]
    findings = judge(
        tables(SQUARE * 2, LONG), replace(named, unless=("X2",)), rule("X2", when="class_id == 0", message="")
    )
    assert [f.message for f in findings] == ["7 0.5 dog 3", ""]


def test_a_check_that_fails_is_named_with_the_files_it_failed_on(named_check: Any) -> None:
    def check(read: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
        raise IndexError("index 7 is out of bounds")

    with pytest.raises(CheckError) as caught:
        judge(tables(SQUARE), rule(check=named_check("row", check), message=""))
    assert str(caught.value) == (
        "rule X1 failed in the batch of files that begins with /data/set/labels/train/0.txt "
        "(IndexError: index 7 is out of bounds): --ignore X1 skips the rule"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_message_that_names_what_the_check_does_not_say_is_a_failure_not_a_gap(named_check: Any) -> None:
    named = rule(check=named_check("row", lambda *_: Hits(np.array([0]))), message="{nothing}")
    with pytest.raises(CheckError, match="nothing"):
        judge(tables(SQUARE), named)


def test_a_fault_of_a_rule_that_no_pack_has_is_a_failure() -> None:
    with pytest.raises(CheckError, match="no pack has such a rule"):
        judge(with_faults(Fault("X8", 0)), REPORTED, readers=True)


# --- the dataset as a whole ------------------------------------------------------------------------------------


def survey(*faults: DatasetFault, files_only: bool = False) -> Survey:
    dataset = Dataset(
        root=ROOT,
        data=ROOT,
        yaml_path=f"{ROOT}/data.yaml",
        splits=(),
        declared_task=None,
        nc=3,
        names=DETECT.names,
        faults=faults,
        files_only=files_only,
    )
    return surveyed(dataset, DETECT, [summarise(tables(SQUARE + LONG, SQUARE, ""), DETECT)])


def test_a_fault_of_the_dataset_names_its_file() -> None:
    places = (
        DatasetFault("X1", line=3, values={"what": "no names", "value": 2}),
        DatasetFault(
            "X1",
            image=f"{ROOT}/images/a.jpg",
            label=f"{ROOT}/labels/a.txt",
            split="val",
            values={"what": "b"},
        ),
        DatasetFault("X1", file="/elsewhere/list.txt", values={"what": "c"}, severity=Severity.INFO),
    )
    whole = rule(scope="dataset", check="reader", message="{what}")
    findings = list(dataset_findings(survey(*places), ruleset(whole)))
    assert [(f.file, f.line, f.split, f.message, f.value, f.severity) for f in findings] == [
        ("data.yaml", 3, None, "no names", 2.0, Severity.WARNING),
        ("labels/a.txt", None, "val", "b", None, Severity.WARNING),
        ("../../elsewhere/list.txt", None, None, "c", None, Severity.INFO),
    ]
    assert list(dataset_findings(survey(*places), ruleset(whole, ignore=("X1",)))) == []
    assert (
        len(list(dataset_findings(survey(*places), ruleset(whole, per_path_ignores={"labels/*": ("X",)}))))
        == 2
    )


def test_a_dataset_check_runs_on_the_survey_but_not_for_single_files(named_check: Any) -> None:
    def check(whole: Survey, params: Params) -> list[DatasetFault]:
        return [DatasetFault("X1", values={"n": whole.n_boxes, "limit": params["limit"]})]

    counting = rule(
        scope="dataset", check=named_check("dataset", check), params={"limit": 5.0}, message="{n} of {limit}"
    )
    (finding,) = dataset_findings(survey(), ruleset(counting))
    assert finding.message == "3 of 5"
    assert not list(dataset_findings(survey(files_only=True), ruleset(counting)))


def test_a_dataset_check_that_fails_is_named(named_check: Any) -> None:
    broken = rule(scope="dataset", check=named_check("dataset", lambda *_: 1 / 0), message="")
    with pytest.raises(
        CheckError, match=r"rule X1 failed .*data\.yaml \(ZeroDivisionError: division by zero\)"
    ):
        list(dataset_findings(survey(), ruleset(broken)))


def test_a_chunk_is_summed_up() -> None:
    read = tables(SQUARE + LONG + "7 0.5 0.5 0.1\n1.5 0.5 0.5 0.1 0.1\n", "", "1 0.5 0.5 2 0.1\n")
    summary = engine.summarise(read, DETECT)
    assert summary.n_rows.tolist() == [3, 0, 1]
    assert summary.dropped.tolist() == [True, False, True]
    assert summary.background.tolist() == [False, True, False]
    assert summary.class_counts == {0: 1, 1: 2}
    assert (summary.n_label_files, summary.n_boxes) == (3, 4)
    assert summary.width.tolist() == [640, 640, 640]
