"""The probe, top to bottom: scan, warm up, measure every image, compare, report."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.findings.baseline import with_more_findings
from sanitizer.probe.budget import Budget, ProbePlan, parse_budget, plan_probe
from sanitizer.probe.devices import pick_devices
from sanitizer.probe.evidence import weigh
from sanitizer.probe.gradients.measured import Measured, on_common_scale
from sanitizer.probe.judging.judgement import DEFAULT_FDR, Judgement
from sanitizer.probe.judging.limits import notes
from sanitizer.probe.judging.naming import findings
from sanitizer.probe.judging.scan_weights import scan_codes
from sanitizer.probe.measuring_pass import MeasurerSettings, measure_here, measure_on_ray
from sanitizer.probe.progress import Progress
from sanitizer.probe.result import ProbeResult
from sanitizer.probe.state import ProbeState, run_key
from sanitizer.probe.tables import probe_record
from sanitizer.probe.warm_up import warm_up
from sanitizer.rules.language.pack import load_rules
from sanitizer.rules.ruleset import RuleSet
from sanitizer.scanner.engines.ray_ import connected
from sanitizer.scanner.run import nearby_config, scan_dataset
from sanitizer.train.clipping import checked_limit
from sanitizer.ultra.arguments import OWN_ARGUMENTS, ULTRALYTICS_LIMIT, check_keys
from sanitizer.ultra.library import DEFAULT_CFG, get_cfg
from sanitizer.ultra.model import ModelError, build_model, check_model_file
from sanitizer.ultra.samples import read_samples
from sanitizer.ultra.silence import silent_ultralytics
from sanitizer.ultra.versions import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.config import Config
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.findings.report import Report
    from sanitizer.probe.result import KnownDataset
    from sanitizer.scanner.engines import Engine
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample

BATCH = 16
"""Images per batch, if the user names no other number."""
FINE_TUNING: Mapping[str, Any] = {"optimizer": "AdamW", "lr0": 2e-4, "warmup_bias_lr": 0.0}
"""How trained weights learn in the warm-up. Ultralytics' own choice has a rate of about 1e-3, which in a few epochs
undoes more of what the weights know than it teaches (measured: scripts/bench/probe_recipes.py). Its warm-up of an
optimizer that is named starts biases at a rate of 0.1, which was made for SGD."""


class ProbeError(Exception):
    """The probe cannot run; the text is a sentence."""


def probe(
    data: str | os.PathLike[str],
    model: str,
    *,
    budget: Budget | str = "2m",
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    task: Any = "auto",
    trust_weights: bool = False,
    config: Config | None = None,
    baseline: str | None = None,
    out: str | None = None,
    resume: bool = False,
    progress: bool | Literal["lines"] = False,
    known: KnownDataset | None = None,
    engine: Engine = "local",
    fdr: float = DEFAULT_FDR,
    splits: Sequence[str] = ("train",),
) -> ProbeResult:
    """Find the images and label lines that cause loss spikes, by a short training run. The dataset is only read.

    Args:
        data: A data.yaml or a dataset folder.
        model: A .pt file, or a model yaml by path or name.
        budget: See `parse_budget`.
        device: "auto", "cpu", "0" or "0,1". Several GPUs measure several batches at the same time.
        overrides: Ultralytics train arguments (imgsz, batch, lr0, …), and max_grad_norm, the clip limit, which
            Ultralytics fixes at 10.
        task: "auto" takes the task that the dataset is made for.
        trust_weights: Load the weights even if the file can run code.
        config: Rules and parameters; None looks for a configuration beside the dataset.
        baseline: File of known findings to leave out.
        out: Folder that keeps the state of the probe, so that the probe can be resumed.
        resume: Continue from that state.
        progress: Show a progress bar on stderr; "lines" writes a line now and then, where stderr is no terminal.
        known: Dataset, scan and samples, if an earlier stage has them already; None reads them here.
        engine: Where images are scanned and measured: "local", or "ray" for the GPUs of a Ray cluster (its cores, if
            it has no free GPU). The warm-up runs on this machine in both cases.
        fdr: Share of the named label lines that may be fine, over 0 and under 1.
        splits: Names of the splits whose images are measured. The warm-up trains on the train split in any case; with
            a budget of 0 steps there is none, and finished weights judge the labels as they are.

    Returns:
        The findings of the scan and of the probe, and all measurements.

    Raises:
        DatasetError, ConfigError, ModelError, BudgetError, ProbeError, EngineError: The probe cannot run; the text
            says why.
        KeyboardInterrupt: Ctrl-C came before the first batch was measured.
    """
    started = time.perf_counter()
    budget = parse_budget(budget) if isinstance(budget, str) else budget
    dataset = known.dataset if known else find_loose_dataset([os.fspath(data)]).without_repeats()
    check_model_file(model, trust_weights)  # before the scan, which can take long
    config = config or nearby_config(dataset)
    settings = _settings(overrides, config, is_trained=model.endswith(".pt"))
    max_grad_norm = checked_limit(settings.pop("max_grad_norm", ULTRALYTICS_LIMIT))
    config = replace(config, imgsz=settings["imgsz"])
    # All rules of the scan take part, also those whose findings the user does not want to read.
    scanned = (
        known.scanned
        if known
        else scan_dataset(
            dataset,
            config=replace(config, select=None, ignore=(), baseline=None),
            task=task,
            progress=progress is True,
            engine=engine,
        )
    )
    spec = spec_of(dataset, scanned.task)  # type: ignore[arg-type]
    if spec.nc is None:
        spec = replace(spec, nc=max(scanned.class_counts, default=0) + 1)
    of_split = {name: read_samples(dataset, spec, name) for name in splits if not (known and name == "train")}
    if known and "train" in splits:
        of_split["train"] = list(known.samples)
    for name in splits:
        if not of_split[name]:
            raise ProbeError(
                f"{data}: training would keep no image of the {name} split, so there is nothing to probe"
            )
    samples = [sample for name in splits for sample in of_split[name]]
    lessons = () if budget.steps == 0 else of_split.get("train") or read_samples(dataset, spec, "train")
    if not lessons and budget.steps != 0:
        raise ProbeError(
            f"{data}: training would keep no image of the train split to learn from: with finished weights, "
            "--budget 0steps leaves the training out"
        )
    if spec.task in ("segment", "obb") and not all(len(s.segments) == len(s) for s in [*samples, *lessons]):
        raise ProbeError(
            f"{data}: some label rows are boxes, where the task {spec.task} wants polygons, and training stops with a "
            "ValueError: `sanitize scan` names these rows (L006)"
        )
    devices = pick_devices(device)
    torch.manual_seed(int(settings.get("seed", 0)))  # a model built from a yaml gets random weights
    with silent_ultralytics():
        network = build_model(model, spec, trust_weights=trust_weights)
    network.args = get_cfg(DEFAULT_CFG, settings | {"task": spec.task})  # type: ignore[assignment]
    show = Progress(progress)
    arguments = {**vars(network.args), "max_grad_norm": max_grad_norm}
    state = ProbeState(
        out, run_key(network, arguments, spec, [*samples, *lessons]), resume, [len(s) for s in samples]
    )
    run = _ProbeRun(samples, lessons, spec, settings, devices, max_grad_norm, budget, show, state, engine)
    with silent_ultralytics():
        network = run.train(network)
        measured = run.measure_all(network)
    if not measured:
        raise KeyboardInterrupt
    measured.sort(key=lambda m: m.index)
    on_common_scale(measured)
    evidence = weigh(measured, samples, spec.nc or 1)
    judgement = Judgement(
        dataset,
        RuleSet.build(load_rules(config.packs), config),
        samples,
        measured,
        evidence,
        *scan_codes(scanned.findings),
        settings["imgsz"],
        fdr,
    )
    elapsed = time.perf_counter() - started
    report = _with_findings(scanned, judgement, baseline or config.baseline, elapsed, run)
    result = ProbeResult(
        report, run.steps, samples, measured, evidence, judgement, settings["imgsz"], run.interrupted, elapsed
    )
    return replace(result, report=replace(report, probe=probe_record(result)))


def _settings(overrides: Mapping[str, Any] | None, config: Config, is_trained: bool) -> dict[str, Any]:
    """Train arguments of the warm-up: one batch per step (nbs = batch), and a learning-rate warm-up of one epoch.

    There is no mosaic, as in the last epochs of a training: images are measured whole. Ultralytics would leave it out
    of any run of up to ten epochs, and take it into longer ones; mosaic=1 asks for it.

    Args:
        overrides: The user's train arguments.
        config: Its image size is the default.
        is_trained: The model has learnt before: it learns as `FINE_TUNING` says, unless the user names an optimizer.
    """
    chosen: dict[str, Any] = {"imgsz": config.imgsz, "batch": BATCH, "warmup_epochs": 1.0, "workers": 0}
    chosen |= {"mosaic": 0.0, "close_mosaic": 0}
    asked = dict(overrides or {})
    if is_trained and "optimizer" not in asked:
        chosen |= FINE_TUNING
    chosen |= asked
    check_keys(chosen)
    try:
        get_cfg(overrides={k: v for k, v in chosen.items() if k not in OWN_ARGUMENTS})
    except (TypeError, ValueError) as error:
        raise ProbeError(str(error).splitlines()[0]) from error
    chosen["imgsz"] = max(math.ceil(int(chosen["imgsz"]) / 32), 1) * 32
    chosen.setdefault("nbs", chosen["batch"])
    return chosen


def _with_findings(
    scanned: Report, judgement: Judgement, baseline: str | None, elapsed: float, run: _ProbeRun
) -> Report:
    return replace(
        with_more_findings(scanned, findings(judgement), judgement.ruleset.rules, baseline),
        notes=[*scanned.notes, *run.state.notes, *run.notes, *notes(judgement)],
        summary=replace(scanned.summary, elapsed_s=elapsed),
    )


class _ProbeRun:
    """The running part of a probe: the warm-up and the measuring pass.

    Attributes:
        steps: Records of the warm-up's steps.
        notes: Sentences for the report.
        interrupted: Ctrl-C ended the measuring pass.
        deadline: Time of `time.perf_counter`, in seconds, at which measuring ends.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        lessons: Sequence[Sample],
        spec: TaskSpec,
        settings: dict[str, Any],
        devices: Sequence[torch.device],
        max_grad_norm: float | str,
        budget: Budget,
        show: Progress,
        state: ProbeState,
        engine: Engine,
    ) -> None:
        self.measurer_settings, self.engine = MeasurerSettings(samples, spec, settings), engine
        self.samples, self.lessons, self.spec = samples, lessons, spec
        self.settings, self.devices = settings, devices
        self.max_grad_norm, self.budget, self.show, self.state = max_grad_norm, budget, show, state
        self.steps: list[StepRecord] = []
        self.notes: list[str] = []
        self.interrupted = False
        self.deadline = math.inf if budget.seconds is None else time.perf_counter() + budget.seconds
        self.plan: ProbePlan | None = None

    def train(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network after the warm-up. A resumed probe loads the weights of its earlier warm-up instead."""
        if self.budget.steps == 0:
            self.plan = ProbePlan(0, 0, len(self.samples))
            return network
        if self.state.load_weights(network):
            self.steps = self.state.steps()
            self.notes.append("weights of the earlier warm-up taken up again")
            self.plan = ProbePlan(0, 0, len(self.samples))
            return network
        attribution_s = self._time_attribution(network)
        self.plan = plan_probe(
            self.budget,
            len(self.samples),
            self.settings["batch"],
            attribution_s / 2,
            attribution_s,
            len(self.lessons),
        )
        stop_training = time.perf_counter() + max(
            self.deadline - time.perf_counter() - attribution_s * math.ceil(self.plan.images / self.settings["batch"]),
            attribution_s,
        )  # fmt: skip
        target = self.plan.batches

        def keep_on(batches: int) -> bool:
            return batches < target and time.perf_counter() < stop_training

        def listen(step: StepRecord) -> None:
            self.steps.append(step)
            self.show.trained(step)

        overrides = self.settings | {"epochs": self.plan.epochs, "device": _for_trainer(self.devices[0])}
        self.show.begin("warm-up", target)
        try:
            network = warm_up(
                network, self.lessons, self.spec, overrides, self.max_grad_norm, listen, keep_on
            )
        finally:
            self.show.end()
        self.state.save_warm_up(network, self.steps)
        return network

    def _time_attribution(self, network: torch.nn.Module) -> float:
        """Seconds that attributing one batch takes. A copy of the network is used, so its weights do not change."""
        import copy

        measurer = self.measurer_settings.measurer(copy.deepcopy(network), self.devices[0])
        indices = list(range(min(self.settings["batch"], len(self.samples))))
        measurer.measure(indices[:1])
        started = time.perf_counter()
        measurer.measure(indices)
        return time.perf_counter() - started

    def measure_all(self, network: torch.nn.Module) -> list[Measured]:
        """Measure the images in a random but fixed order, until all are measured or the time is over."""
        assert self.plan is not None
        known = self.state.measured()
        order = np.random.default_rng(0).permutation(len(self.samples)).tolist()[: self.plan.images]
        todo = [i for i in order if i not in known]
        measured = list(known.values())
        self.show.begin("measuring", len(order), len(measured))
        try:
            first = max((m.batch for m in measured), default=-1) + 1
            for part in self._in_batches(network, todo, first):
                measured += part
                self.state.keep(part)
                self.show.measured(part, self.samples)
                if time.perf_counter() > self.deadline and len(measured) >= self.settings["batch"]:
                    break
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self.show.end()
        for m in measured:
            if m.unreadable:
                self.notes.append(
                    f"{self.samples[m.index].image}: its pixels cannot be read ({m.unreadable})"
                )
        if len(measured) < len(self.samples):
            self.notes.append(
                f"{len(measured):,} of {len(self.samples):,} {measured_images(self.samples)} were measured: a larger "
                "--budget measures more"
            )
        return measured

    def _in_batches(
        self, network: torch.nn.Module, todo: Sequence[int], first: int
    ) -> Iterator[list[Measured]]:
        """Measure the samples in batches, which are numbered from `first`, on all devices or on the cluster."""
        size = self.settings["batch"]
        batches = list(enumerate((todo[k : k + size] for k in range(0, len(todo), size)), first))
        if self.engine == "ray":
            with connected(self.notes.append) as ray:
                yield from measure_on_ray(ray, self.measurer_settings, network, batches)
        else:
            yield from measure_here(self.measurer_settings, network, self.devices, batches)


def measured_images(samples: Sequence[Sample]) -> str:
    """What was measured, in words: "training images", or "images of val, test"."""
    names = list(dict.fromkeys(sample.split or "train" for sample in samples))
    return "training images" if names == ["train"] else f"images of {', '.join(names)}"


def _for_trainer(device: torch.device) -> str:
    """The device as Ultralytics' argument `device` names it."""
    return "cpu" if device.type == "cpu" else str(device.index or 0)


__all__ = ["ModelError", "ProbeError", "ProbeResult", "probe"]
