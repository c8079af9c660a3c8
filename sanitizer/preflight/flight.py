"""Preflight, top to bottom: scan the dataset, judge the recipe, rehearse a risky one, probe the labels; one report."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.findings.baseline import with_more_findings
from sanitizer.findings.finding import Severity
from sanitizer.preflight.correction import correct_recipe, suggested
from sanitizer.preflight.dataset_facts import DatasetFacts, read_training_split, sample_training_split
from sanitizer.preflight.model_facts import device_facts, model_facts
from sanitizer.preflight.recipe import check_recipe, resolve_recipe
from sanitizer.probe.budget import Budget, parse_budget
from sanitizer.probe.result import KnownDataset
from sanitizer.rules.language.pack import load_rules
from sanitizer.rules.ruleset import RuleSet
from sanitizer.scanner.run import nearby_config, scan_dataset
from sanitizer.scanner.task import infer_task
from sanitizer.train.clipping import checked_limit, clip_limit
from sanitizer.ultra.arguments import OWN_ARGUMENTS, default_arguments, resolve_arguments
from sanitizer.ultra.model import build_model, trained_imgsz
from sanitizer.ultra.silence import silent_ultralytics
from sanitizer.ultra.versions import spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from sanitizer.config import Config
    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.preflight.model_facts import DeviceFacts, ModelFacts
    from sanitizer.preflight.rehearsal import Rehearsal
    from sanitizer.probe.result import ProbeResult
    from sanitizer.rules.recipe_facts import RecipeFacts
    from sanitizer.ultra.samples import Sample

PROBED_WITH = (
    "imgsz",
    "batch",
    "amp",
    "seed",
    "box",
    "cls",
    "dfl",
    "pose",
    "kobj",
    "overlap_mask",
    "mask_ratio",
)
"""What the probe takes over from a recipe. It judges labels, so it learns at a rate known to be safe."""

STEP_ARGUMENTS = frozenset(("lr0", "optimizer", "warmup_epochs", "warmup_bias_lr", "amp"))
"""A suggestion to change one of these says that the first steps may fail, which a rehearsal shows."""

REHEARSAL_PX_ON_CPU = 256
"""Larger pictures would leave time for a step or two, and how steps grow hardly depends on the size."""

REHEARSAL_SHARE = 0.25
"""Of the time that is left of a budget once dataset and recipe are read."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training recipe and all that it is judged by.

    Attributes:
        overrides: Train arguments as asked for.
        dataset, model, device: What they meet.
        ruleset: Rules and parameters.
    """

    overrides: Mapping[str, Any]
    dataset: DatasetFacts
    model: ModelFacts
    device: DeviceFacts
    ruleset: RuleSet

    def findings(self, overrides: Mapping[str, Any] | None = None) -> list[Finding]:
        """What the T rules say of these arguments, or of others in the same place; worst first."""
        chosen = self.overrides if overrides is None else overrides
        return check_recipe(chosen, self.dataset, self.model, self.device, self.ruleset)

    def resolved(self, overrides: Mapping[str, Any] | None = None) -> RecipeFacts:
        """The arguments as training will use them."""
        chosen = self.overrides if overrides is None else overrides
        return resolve_recipe(chosen, self.dataset, self.model, self.device)

    def counted(self, n_images: int) -> Recipe:
        """The same recipe, for so many training images where they were not counted yet."""
        if self.dataset.n_images is not None:
            return self
        return replace(self, dataset=replace(self.dataset, n_images=n_images))

    def corrected(self) -> dict[str, Any]:
        """The overrides with every suggestion taken."""
        return correct_recipe(self.overrides, self.findings)


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a preflight found.

    Attributes:
        report: Findings of scan, recipe and probe together.
        dataset: What it is about.
        recipe: The recipe as asked for.
        model: As named.
        rehearsal: The first steps of a recipe that looks risky, or None.
        probed: What the probe measured, or None.
        not_probed: Why nothing was probed, or "".
    """

    report: Report
    dataset: Dataset
    recipe: Recipe
    model: str
    rehearsal: Rehearsal | None = None
    probed: ProbeResult | None = None
    not_probed: str = ""

    @property
    def interrupted(self) -> bool:
        """Ctrl-C ended the probe early; what was measured until then is in the report."""
        return self.probed is not None and self.probed.interrupted


def as_trained(dataset: Dataset, overrides: Mapping[str, Any]) -> Dataset:
    """The dataset as a run with these train arguments takes it. `classes=` changes nothing in what is dropped.

    Raises:
        ArgumentError: An argument does not exist.
    """
    return replace(dataset, single_cls=bool(resolve_arguments(overrides)["single_cls"]))


def read_recipe(
    dataset: Dataset,
    model: str,
    overrides: Mapping[str, Any],
    *,
    task: Any = "auto",
    trust_weights: bool = False,
    config: Config | None = None,
    keep_samples: bool = False,
    counting: bool = True,
) -> tuple[Recipe, nn.Module, list[Sample], TaskSpec]:
    """The recipe with the facts it is judged by; the model, built for the dataset; the training images; the task.

    Args:
        dataset: What `find_loose_dataset` found.
        model, overrides, task, trust_weights, config: As for `preflight`.
        keep_samples: Return the training images as well, rather than none.
        counting: Look at every training image; False where another stage does so: see `Recipe.counted`.

    Raises:
        DatasetError, ConfigError, ArgumentError, ModelError: It cannot be judged; the text says why.
    """
    dataset = as_trained(
        dataset, overrides
    ).without_repeats()  # says a slip in an argument before any label is read
    config = config or nearby_config(dataset)
    spec = spec_of(dataset, infer_task(dataset)[0] if task == "auto" else task)
    with silent_ultralytics():
        network = build_model(model, replace(spec, nc=spec.nc or 1), trust_weights=trust_weights)
    is_trained = model.endswith(".pt")
    samples: list[Sample] = []
    if counting or keep_samples:
        facts, samples = read_training_split(dataset, spec, keep_samples=keep_samples)
    else:
        facts = sample_training_split(dataset, spec)
    recipe = Recipe(
        overrides,
        facts,
        model_facts(network, is_trained, trained_imgsz(model, trust_weights) if is_trained else None),
        device_facts(overrides.get("device")),
        RuleSet.build(load_rules(config.packs), config),
    )
    recipe.resolved()
    return recipe, network, samples, spec


def preflight(
    data: str | os.PathLike[str],
    model: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    budget: Budget | str = "2m",
    task: Any = "auto",
    trust_weights: bool = False,
    config: Config | None = None,
    baseline: str | None = None,
    probing: bool = True,
    progress: bool = False,
) -> Preflight:
    """Say why a run would fail, before it starts. Nothing is written into the dataset.

    Args:
        data: A data.yaml or a dataset folder.
        model: A .pt file, or a model yaml by path or name.
        overrides: Train arguments (`device` and `max_grad_norm` among them) that differ from Ultralytics' defaults.
        budget: See `parse_budget`. One of time is for everything, reading the dataset included.
        task: "auto" asks the dataset.
        trust_weights: Unpickle whatever the weights carry.
        config: Rules and parameters; None looks for a configuration beside the dataset.
        baseline: Known findings to leave out; None takes the configuration's.
        probing: Also run the model: rehearse a recipe that looks risky, and probe the labels.
        progress: Show bars on stderr.

    Raises:
        DatasetError, ConfigError, PackError, ArgumentError, ModelError, BudgetError, DeviceError: Nothing can be said
            at all; the text says why.
    """
    started = time.perf_counter()
    budget = parse_budget(budget) if isinstance(budget, str) else budget
    overrides = dict(overrides or {})
    dataset = as_trained(find_loose_dataset([os.fspath(data)]), overrides).without_repeats()
    task, how = infer_task(dataset) if task == "auto" else (task, None)
    recipe, network, samples, spec = read_recipe(
        dataset,
        model,
        overrides,
        task=task,
        trust_weights=trust_weights,
        config=config,
        keep_samples=probing,
        counting=probing,
    )
    config = replace(config or nearby_config(dataset), imgsz=int(recipe.resolved().imgsz))
    everything = replace(config, select=None, ignore=(), baseline=None)
    scanned = scan_dataset(dataset, config=everything, task=task, progress=progress)
    recipe = recipe.counted(sum(s.images - s.dropped for s in scanned.summary.splits if s.split == "train"))
    scanned = replace(scanned, notes=_distinct([*dataset.notes, *filter(None, [how]), *scanned.notes]))
    run = _Run(recipe, network, spec, budget, started)
    if not probing:
        run.not_probed = "switched off"
    elif not recipe.dataset.n_images:
        run.not_probed = "training would keep no image of the train split"
    else:
        run.rehearse(samples)
        known = KnownDataset(dataset, scanned, samples)
        run.probe(known, model, config, trust_weights=trust_weights, progress=progress)
    report = _report(scanned, recipe, run, baseline or config.baseline, time.perf_counter() - started)
    return Preflight(report, dataset, recipe, model, run.rehearsal, run.probed, run.not_probed)


@dataclass(slots=True)
class _Run:
    """The part of a preflight that runs the model, within its budget."""

    recipe: Recipe
    network: nn.Module
    spec: TaskSpec
    budget: Budget
    started: float
    rehearsal: Rehearsal | None = None
    probed: ProbeResult | None = None
    not_probed: str = ""
    _settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._settings = resolve_arguments(self.recipe.overrides)

    def _asked(self) -> dict[str, Any]:
        """The train arguments that are not Ultralytics' defaults, those of a `cfg` file among them."""
        defaults = default_arguments()
        return {
            key: value
            for key, value in self._settings.items()
            if key not in OWN_ARGUMENTS and key != "cfg" and (key not in defaults or value != defaults[key])
        }

    def _remaining(self) -> float | None:
        if self.budget.seconds is None:
            return None
        # However long reading took, a probe of no steps would say nothing.
        return max(self.budget.seconds - (time.perf_counter() - self.started), self.budget.seconds / 4)

    def rehearse(self, samples: Sequence[Sample]) -> None:
        """Make the first steps as asked for, where a finding says that they are risky."""
        risky = [f for f in self.recipe.findings() if f.severity >= Severity.WARNING]
        if not STEP_ARGUMENTS & suggested(risky).keys():
            return
        from sanitizer.preflight.rehearsal import rehearse
        from sanitizer.probe.devices import pick_devices

        remaining = self._remaining()
        self.rehearsal = rehearse(
            self.network,
            samples,
            self.spec,
            self._rehearsal_arguments(pick_devices(self.device)[0]),
            clip_limit(checked_limit(self._settings["max_grad_norm"]), self.recipe.resolved().optimizer),
            60.0 if remaining is None else remaining * REHEARSAL_SHARE,
        )

    def _rehearsal_arguments(self, device: torch.device) -> dict[str, Any]:
        """The train arguments as asked for, on one device and without what would write or take time."""
        arguments = {key: value for key, value in self._asked().items() if key != "save_dir"}
        arguments |= {"workers": 0, "resume": False, "time": None, "compile": False, "cache": False}
        if self._settings["batch"] < 1:  # measured on a GPU once training runs
            arguments["batch"] = 16
        imgsz, on_cpu = int(self.recipe.resolved().imgsz), device.type == "cpu"
        arguments["imgsz"] = min(imgsz, REHEARSAL_PX_ON_CPU) if on_cpu else imgsz
        arguments["device"] = "cpu" if on_cpu else str(device.index or 0)
        return arguments

    def probe(
        self,
        known: KnownDataset,
        model: str,
        config: Config,
        *,
        trust_weights: bool,
        progress: bool,
    ) -> None:
        """Probe the labels in the time that is left."""
        from sanitizer.probe.probing import ProbeError, probe

        chosen = {key: value for key, value in self._asked().items() if key in PROBED_WITH}
        chosen["imgsz"] = int(self.recipe.resolved().imgsz)
        if chosen.get("batch", 1) < 1:
            del chosen["batch"]
        remaining = self._remaining()
        try:
            self.probed = probe(
                known.dataset.data,
                model,
                budget=self.budget if remaining is None else Budget(seconds=remaining),
                device=self.device,
                overrides=chosen,
                task=self.spec.task,
                trust_weights=trust_weights,
                config=replace(config, baseline=None),
                progress=progress,
                known=known,
            )
        except ProbeError as error:
            self.not_probed = str(error)

    @property
    def device(self) -> str:
        """The device as the probe wants it: auto, cpu, 0 or 0,1."""
        asked = self.recipe.overrides.get("device")
        if asked is None or asked == "":
            return "auto"
        text = ",".join(map(str, asked)) if isinstance(asked, list | tuple) else str(asked)
        return "cpu" if text == "mps" else text


def _report(scanned: Report, recipe: Recipe, run: _Run, baseline: str | None, elapsed: float) -> Report:
    """One report of all findings that are wanted and not known already."""
    base = run.probed.report if run.probed else scanned
    return replace(
        with_more_findings(base, recipe.findings(), recipe.ruleset.rules, baseline),
        notes=_distinct([*scanned.notes, *base.notes]),
        summary=replace(base.summary, elapsed_s=round(elapsed, 3)),
    )


def _distinct(notes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(notes))
