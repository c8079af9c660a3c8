"""The T rules: each fires on its bad recipes and not on the good ones, and recipes are resolved as Ultralytics does."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_examples import recipe_findings
from strange_files import STRANGE, put, within
from tiny_sets import SIDE, tiny_set

from sanitizer import scan
from sanitizer.archives.finding import find_loose_dataset
from sanitizer.config import Config, ConfigError
from sanitizer.dataset.model import DatasetError
from sanitizer.preflight import dataset_facts
from sanitizer.preflight.checklist import recipe_words
from sanitizer.preflight.dataset_facts import DatasetFacts, read_training_split, sample_training_split
from sanitizer.preflight.model_facts import DeviceFacts, ModelFacts
from sanitizer.preflight.recipe import check_recipe, resolve_recipe
from sanitizer.rules.language.pack import PackError, load_rules
from sanitizer.rules.ruleset import RuleSet
from sanitizer.scanner.task import infer_task
from sanitizer.ultra.arguments import (
    OWN_ARGUMENTS,
    ArgumentError,
    default_arguments,
    parse_arguments,
    resolve_arguments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sanitizer.rules.language.rule import Rule

if find_spec("ultralytics") is None:  # its defaults are read without importing it
    pytest.skip("needs ultralytics (the probe extra)", allow_module_level=True)

RULES = {code: rule for code, rule in load_rules().items() if rule.scope == "recipe"}


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(rule, example, id=f"{rule.code}-{example['about'].replace(' ', '_')}")
        for rule in RULES.values()
        for example in rule.examples[kind]
    ]


@pytest.mark.parametrize(("rule", "example"), examples("bad"))
def test_a_rule_fires_on_its_bad_recipes_and_says_what_to_set(rule: Rule, example: Mapping[str, Any]) -> None:
    (finding,) = recipe_findings(example, rule.code)
    assert finding.suggestion == example["suggests"]
    assert finding.severity == rule.severity
    assert not any(word in finding.message for word in ("{", "}", "nan", "None", "?"))
    mended = {**example, "recipe": f"{example['recipe']} {finding.suggestion}"}
    assert recipe_findings(mended, rule.code) == []


@pytest.mark.parametrize(("rule", "example"), examples("good"))
def test_a_rule_is_silent_on_its_good_recipes(rule: Rule, example: Mapping[str, Any]) -> None:
    assert recipe_findings(example, rule.code) == []


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("model", ["pretrained", "yaml"])
@pytest.mark.parametrize("images", [205, 5_000, 64_000])
def test_the_defaults_of_ultralytics_are_silent(device: str, model: str, images: int) -> None:
    assert recipe_findings({"recipe": "", "device": device, "model": model, "images": images}) == []


def test_a_rate_that_is_blamed_for_a_failure_may_never_have_been_in_force() -> None:
    findings = recipe_findings({"recipe": "lr0=0.05 warmup_epochs=0"})
    assert [(f.rule, f.suggestion) for f in findings] == [
        ("T004", "warmup_epochs=3"),
        ("T003", "optimizer=SGD lr0=0.01"),
    ]
    named = recipe_findings({"recipe": "optimizer=SGD lr0=0.05 warmup_epochs=0 batch=4"})
    assert [f.rule for f in named] == ["T001", "T004", "T011"], "worst first"


@pytest.mark.ultralytics
@pytest.mark.parametrize(("rule", "example"), examples("bad"))
def test_ultralytics_takes_every_suggestion(rule: Rule, example: Mapping[str, Any]) -> None:
    from ultralytics.cfg import get_cfg

    (finding,) = recipe_findings(example, rule.code)
    arguments = parse_arguments(str(finding.suggestion).split())
    for key in OWN_ARGUMENTS:
        arguments.pop(key, None)
    settings = vars(get_cfg(overrides=arguments))
    assert {key: settings[key] for key in arguments} == arguments


# Resolving


class Bystander:
    """As much of a trainer as `build_optimizer` looks at."""

    def __init__(self, nc: int, settings: Mapping[str, Any]) -> None:
        from types import SimpleNamespace

        self.args, self.data = SimpleNamespace(**settings), {"nc": nc}


@pytest.mark.ultralytics
@pytest.mark.probe
@pytest.mark.parametrize(
    "optimizer", ["auto", "AUTO", "sgd", "SGD", "adamw", "AdamW", "RMSProp", "MuSGD", "NAdam"]
)
@pytest.mark.parametrize(
    ("images", "batch"), [(205, 16), (6_400, 16), (6_401, 16), (20_000, 128), (12_801, 128)]
)
def test_the_optimizer_is_the_one_that_ultralytics_builds(optimizer: str, images: int, batch: int) -> None:
    import torch
    from ultralytics.engine.trainer import BaseTrainer

    settings = dict(resolve_arguments({"optimizer": optimizer, "lr0": 0.003, "batch": batch}))
    trainer: Any = Bystander(3, settings)
    iterations = math.ceil(images / max(batch, 64)) * 100
    model = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)))
    model.model = model[0]  # type: ignore[assignment]
    built = BaseTrainer.build_optimizer(
        trainer, model, optimizer, settings["lr0"], settings["momentum"], 5e-4, iterations
    )
    facts = resolve_recipe(
        {"optimizer": optimizer, "lr0": 0.003, "batch": batch},
        DatasetFacts(n_images=images, n_classes=3),
        ModelFacts(),
        DeviceFacts(),
    )
    assert facts.optimizer == type(built).__name__
    assert facts.lr0 == pytest.approx(built.param_groups[-1]["lr"])
    assert facts.warmup_bias_lr == trainer.args.warmup_bias_lr


@pytest.mark.ultralytics
@pytest.mark.probe
@pytest.mark.parametrize(
    "recipe",
    [
        "batch=2 nbs=4 epochs=3",
        "batch=3 nbs=64 epochs=4",
        "batch=4 nbs=4 epochs=2 fraction=0.5",
        "batch=16 fraction=5",
    ],
)
def test_batches_and_steps_are_those_of_the_trainer(recipe: str, tmp_path: Path) -> None:
    from sanitizer.train import ClippedTrainer

    data = tiny_set(tmp_path / "set", train=9)
    overrides = parse_arguments(recipe.split())
    base = {"model": "yolov8n.yaml", "data": str(data), "imgsz": 64, "device": "cpu", "plots": False}
    trainer: Any = ClippedTrainer(overrides={**base, "project": str(tmp_path), **overrides})
    trainer._setup_train()
    facts = resolve_recipe(overrides, facts_of(data), ModelFacts(), DeviceFacts())
    assert facts.n_images == len(trainer.train_loader.dataset)
    assert facts.accumulate == trainer.accumulate
    sizes = [len(batch["img"]) for batch in trainer.train_loader]
    assert facts.last_batch == sizes[-1]
    assert facts.steps == pytest.approx(len(sizes) * trainer.epochs / trainer.accumulate)
    assert facts.lr0 == trainer.args.lr0


@pytest.mark.ultralytics
def test_the_defaults_are_those_of_ultralytics() -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    assert dict(default_arguments()) == DEFAULT_CFG_DICT


@pytest.mark.ultralytics
@pytest.mark.parametrize(
    "text",
    [
        "lr0=1e-3",
        "cos_lr=TRUE",
        "device=0,1",
        "imgsz=[320,640]",
        "name=12",
        "cache=ram",
        "time=None",
        "freeze=10",
    ],
)
def test_values_are_read_as_ultralytics_reads_them(text: str) -> None:
    from ultralytics.cfg import parse_key_value_pair

    key, value = parse_key_value_pair(text)
    assert parse_arguments([text]) == {key: value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr=0.01", "there is no train argument 'lr' (did you mean 'lr0'?)"),
        ("warmup=3", "there is no train argument 'warmup' (did you mean 'warmup_epochs'?)"),
        ("batch-size=8", "there is no train argument 'batch-size' (did you mean 'batch'?)"),
        ("warmup_epoch=3", "there is no train argument 'warmup_epoch' (did you mean 'warmup_epochs'?)"),
        ("max_gradnorm=1", "there is no train argument 'max_gradnorm' (did you mean 'max_grad_norm'?)"),
        ("lr0", "'lr0' is no train argument: write key=value, such as lr0=0.01"),
        ("lr0=", "'lr0=' is no train argument"),
        ("=1", "'=1' is no train argument"),
    ],
)
def test_arguments_that_do_not_exist_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ArgumentError) as error:
        parse_arguments([text])
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"lr0": "fast"}, "lr0=fast: lr0 is a number"),
        ({"epochs": True}, "epochs=True: epochs is a number"),
        ({"optimizer": "Lion"}, "optimizer=Lion: there are SGD"),
        ({"cfg": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
        ({"learning_rate": 1}, "there is no train argument 'learning_rate'"),
    ],
)
def test_values_of_no_use_are_refused(overrides: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArgumentError) as error:
        check_recipe(overrides)
    assert str(error.value).startswith(problem)


def test_a_cfg_file_stands_between_the_defaults_and_the_overrides(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("lr0: 0.5\nepochs: 7\n")
    arguments = resolve_arguments({"cfg": str(tmp_path / "mine.yaml"), "epochs": 9})
    assert (arguments["lr0"], arguments["epochs"], arguments["batch"]) == (0.5, 9, 16)
    (tmp_path / "mine.yaml").write_text("lr: 0.5\n")
    with pytest.raises(ArgumentError, match="did you mean 'lr0'"):
        resolve_arguments({"cfg": str(tmp_path / "mine.yaml")})


@pytest.mark.parametrize("kind", [kind for kind in STRANGE if kind != "gone"])
def test_a_cfg_file_that_is_none_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    put(kind, tmp_path / "mine.yaml")
    with within(5), pytest.raises(ArgumentError, match="cannot be read as train arguments"):
        resolve_arguments({"cfg": str(tmp_path / "mine.yaml")})


BOMB = "a: &a [1]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in pairwise("abcdefgh"))


@pytest.mark.parametrize("text", ["[" * 100_000, BOMB, "x: !!int y\n", "d: 2024-02-31\n", "\xff"])
def test_a_cfg_file_that_would_fill_the_memory_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(text.encode("latin-1"))
    with within(5), pytest.raises(ArgumentError):
        resolve_arguments({"cfg": str(tmp_path / "mine.yaml")})


@pytest.mark.parametrize(
    ("asked", "limit", "is_set"),
    [
        ("", 1.0, False),
        ("optimizer=SGD", 10.0, False),
        ("optimizer=musgd max_grad_norm=auto", 10.0, False),
        ("optimizer=RMSprop", 1.0, False),
        ("optimizer=SGD max_grad_norm=1", 1.0, True),
    ],
)
def test_the_clip_limit_follows_the_optimizer_where_nobody_sets_it(
    asked: str, limit: float, is_set: bool
) -> None:
    facts = resolve_recipe(parse_arguments(asked.split()), DatasetFacts(), ModelFacts(), DeviceFacts())
    assert (facts.max_grad_norm, facts.is_clip_set) == (limit, is_set)
    assert "(auto)" in recipe_words(facts) or is_set


def test_a_long_run_is_clipped_as_musgd_which_ultralytics_then_chooses() -> None:
    facts = resolve_recipe({}, DatasetFacts(n_images=100_000), ModelFacts(), DeviceFacts())
    assert (facts.optimizer, facts.max_grad_norm) == ("MuSGD", 10.0)


@pytest.mark.parametrize("limit", ["high", True, None, 0, -1])
def test_a_clip_limit_that_is_none_is_refused(limit: object) -> None:
    with pytest.raises(ArgumentError, match="max_grad_norm"):
        check_recipe({"max_grad_norm": limit})


def test_what_nobody_knows_is_not_judged() -> None:
    assert check_recipe({}) == []
    assert check_recipe({"batch": -1, "time": 2.0}) == []
    assert [f.rule for f in check_recipe({"adaptive_percentile": 10, "optimizer": "SGD"})] == ["T024"], (
        "and no T008"
    )


@given(st.integers(1, 5000), st.integers(1, 300))
def test_an_even_batch_leaves_no_tiny_rest(images: int, batch: int) -> None:
    facts = resolve_recipe({"batch": batch}, DatasetFacts(n_images=images), ModelFacts(), DeviceFacts())
    size = int(facts.even_batch)
    assert size >= 1
    assert images % size == 0 or images % size >= size / 2 or size == batch


# Datasets and models


def facts_of(data: Path) -> DatasetFacts:
    dataset = find_loose_dataset([str(data)]).without_repeats()
    facts, _ = read_training_split(dataset, dataset.task_spec(infer_task(dataset)[0]))
    return facts


def test_box_sizes_are_those_of_the_network_input(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", train=6)
    facts = facts_of(data)
    assert (facts.task, facts.n_images, facts.n_classes) == ("detect", 6, 2)
    rows = [f.read_text().split() for f in sorted((tmp_path / "set/labels/train").iterdir())]
    assert sorted(facts.short_sides) == pytest.approx(sorted(min(map(float, row[3:5])) for row in rows))
    resolved = resolve_recipe({"imgsz": 32}, facts, ModelFacts(), DeviceFacts())
    assert resolved.small_share == np.mean(facts.short_sides * 32 < 8)
    assert np.mean(facts.short_sides * resolved.imgsz_needed < 8) <= 0.1
    assert SIDE == 96, "square pictures, so that shares of the long side are shares of both"


def test_of_a_large_split_a_sample_tells_how_large_boxes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny_set(tmp_path / "set", train=6)
    dataset = find_loose_dataset([str(data)])
    spec = dataset.task_spec("detect")
    every, _ = read_training_split(dataset, spec)
    small = sample_training_split(dataset, spec)
    assert (small.n_images, small.short_sides.tolist()) == (6, every.short_sides.tolist())
    monkeypatch.setattr(dataset_facts, "SAMPLED_PAIRS", 4)
    monkeypatch.setattr(dataset_facts, "SAMPLED_AT_ONCE", 2)
    some = sample_training_split(dataset, spec)
    assert some.n_images is None
    assert 0 < len(some.short_sides) < len(every.short_sides)
    assert set(some.short_sides) < set(every.short_sides)
    pytest.importorskip("torch")
    from sanitizer.preflight.flight import Recipe

    recipe = Recipe({}, some, ModelFacts(), DeviceFacts(), RuleSet.build(load_rules(()), Config()))
    assert recipe.counted(6).dataset.n_images == 6
    assert recipe.counted(6).counted(9).dataset.n_images == 6


def test_a_real_dataset_is_counted_as_training_counts_it(shared_data: Path) -> None:
    ships = shared_data / "ships_dirty" / "data.yaml"
    report = scan(ships, images="header", cache=False, jobs=1)
    (train,) = [s for s in report.summary.splits if s.split == "train"]
    assert facts_of(ships).n_images == train.images - train.dropped


def test_images_that_training_drops_do_not_count(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "set", train=5)
    (tmp_path / "set/labels/train/1.txt").write_text("7 0.5 0.5 0.2 0.2\n")
    (tmp_path / "set/images/train/2.jpg").write_bytes(b"no image")
    facts = facts_of(data)
    assert (facts.n_images, len(facts.short_sides)) == (3, 3)


def test_a_folder_without_training_split_is_refused(tmp_path: Path) -> None:
    tiny_set(tmp_path / "set", train=0).unlink()
    for kind in ("images", "labels"):
        (tmp_path / "set" / kind / "train").rmdir()
    with pytest.raises(DatasetError, match="no split 'train'; its splits: val"):
        facts_of(tmp_path / "set")


@pytest.mark.ultralytics
@pytest.mark.probe
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
@pytest.mark.parametrize("task", ["", "-seg", "-pose", "-obb"])
def test_models_of_ultralytics_have_nothing_odd(name: str, task: str) -> None:
    from ultralytics import YOLO

    from sanitizer.preflight.model_facts import model_facts

    facts = model_facts(YOLO(f"{name}{task}.yaml").model, is_trained=False)
    assert facts == ModelFacts(is_trained=False, stride=8.0)


@pytest.mark.ultralytics
@pytest.mark.probe
def test_odd_layers_of_a_model_are_named() -> None:
    import torch
    from ultralytics import YOLO

    from sanitizer.preflight.model_facts import model_facts

    class Gate(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(16, 16, 1)

    model: Any = YOLO("yolov8n.yaml").model
    model.model[1].bn = torch.nn.Identity()
    model.model[2].extra = Gate()
    model.model[-1].cv2[0][0].bn = torch.nn.Identity()
    with torch.no_grad():
        model.model[3].conv.weight.mul_(100)
        model.model[5].conv.weight.fill_(0.1)
    facts = model_facts(model, is_trained=False)
    assert facts.bare_convs == ("model.1.conv", "model.2.extra.conv", "model.22.cv2.0.0.conv")
    assert facts.odd_inits == ("model.3.conv", "model.5.conv")
    assert [name.rpartition(".")[2] for name in facts.custom_modules] == ["Gate"]
    assert model_facts(model, is_trained=True).odd_inits == ()
    found = {f.rule: f.message for f in check_recipe({}, model=facts)}
    assert "3 convolution(s) have no normalisation behind them: model.1.conv" in found["T021"]
    assert "model.3.conv, model.5.conv" in found["T022"]


@pytest.mark.ultralytics
@pytest.mark.probe
def test_a_machine_without_gpu_is_known_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from sanitizer.preflight.model_facts import device_facts

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_facts() == device_facts("cpu") == device_facts(0) == DeviceFacts()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    for name, float16 in (("NVIDIA GeForce GTX 1660 Ti", False), ("NVIDIA GeForce RTX 3060", True)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert device_facts("0,1") == DeviceFacts(name, True, 2, float16, False)
        assert device_facts([0, 1]).n_devices == 2
        assert device_facts("cpu") == DeviceFacts()


# Rules as configuration and packs have them


def test_a_scan_never_runs_them(tmp_path: Path) -> None:
    report = scan(tiny_set(tmp_path / "set"), config=Config(select=("T",)), cache=False, jobs=1)
    assert report.findings == []


def test_the_users_parameters_and_severities_hold() -> None:
    from sanitizer.config import RuleConfig
    from sanitizer.findings.finding import Severity

    config = Config(
        rules={"T001": RuleConfig(params={"sgd_tuned": 0.1}), "T004": RuleConfig(severity=Severity.INFO)}
    )
    ruleset = RuleSet.build(load_rules(), config)
    findings = check_recipe({"optimizer": "SGD", "lr0": 0.05, "warmup_epochs": 0}, ruleset=ruleset)
    assert [(f.rule, f.severity.label) for f in findings] == [("T008", "warning"), ("T004", "info")]


def test_a_recipe_has_no_classes() -> None:
    from sanitizer.config import RuleConfig

    config = Config(rules={"T001": RuleConfig(per_class={"cat": {"sgd": 0.1}})})
    with pytest.raises(ConfigError, match="about a training recipe, which has no class"):
        RuleSet.build(load_rules(), config)


OWN = """
- code: X1
  name: our-epochs
  scope: recipe
  severity: warning
  when: epochs < least
  params: {least: 200}
  message: "{epochs:g} epochs on {device}"
"""


def test_a_users_pack_may_hold_recipe_rules(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN + '  suggestion: "epochs={least:g}"\n')
    ruleset = RuleSet.build(load_rules([str(tmp_path / "own.yaml")]), Config(select=("X1",)))
    (finding,) = check_recipe({}, ruleset=ruleset)
    assert (finding.message, finding.suggestion) == ("100 epochs on the CPU", "epochs=200")
    assert scan(
        tiny_set(tmp_path / "set"), config=Config(packs=(str(tmp_path / "own.yaml"),)), cache=False
    ).root


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('  suggestion: "train longer"', "it is train arguments alone"),
        ('  suggestion: "epochs={longer:g}"', "suggestion: there is no {longer}"),
        ('  suggestion: "epochs={least!r}"', "suggestion: {least!r} is not allowed"),
        ("  value: aspect", "aspect"),
        ("  value: optimizer", "optimizer"),
    ],
)
def test_what_is_wrong_with_a_recipe_rule_is_said_with_its_line(
    line: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(f"{OWN}{line}\n")
    with pytest.raises(PackError, match=r"own.yaml:\d+") as error:
        load_rules([str(tmp_path / "own.yaml")])
    assert problem in str(error.value)


def test_a_recipe_rule_has_no_named_check(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN.replace("when: epochs < least", "check: near-duplicate"))
    with pytest.raises(PackError, match="a rule of scope recipe has 'when' with an expression"):
        load_rules([str(tmp_path / "own.yaml")])
