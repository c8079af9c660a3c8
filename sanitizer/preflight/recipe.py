"""Judges a training recipe before it runs: arguments resolved as Ultralytics resolves them, then the T rules.

check_recipe({"lr0": 0.05, "warmup_epochs": 0}, dataset_facts("data.yaml"), ModelFacts())
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.preflight.dataset_facts import DatasetFacts
from sanitizer.preflight.model_facts import DeviceFacts, ModelFacts
from sanitizer.rules.language.pack import load_rules
from sanitizer.rules.recipe import run_recipe
from sanitizer.rules.recipe_facts import NAN, RecipeFacts
from sanitizer.rules.ruleset import RuleSet
from sanitizer.train.clipping import AUTO, checked_limit, clip_limit
from sanitizer.ultra.arguments import ArgumentError, number, resolve_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.findings.finding import Finding

_OPTIMIZERS = ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop", "auto")
_ADAPTIVE = ("Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")

_AUTO_LONG_RUN = 10_000
"""Iterations from which `optimizer=auto` takes MuSGD (`BaseTrainer.build_optimizer`)."""

_BOXES_IN_TEN = 0.1
"""Share of boxes that may stay under a cell of the finest grid at the image size proposed."""


def check_recipe(
    overrides: Mapping[str, Any],
    dataset: DatasetFacts | None = None,
    model: ModelFacts | None = None,
    device: DeviceFacts | None = None,
    ruleset: RuleSet | None = None,
) -> list[Finding]:
    """What a recipe risks, worst first; each finding suggests `k=v` arguments.

    Args:
        overrides: Train arguments that differ from Ultralytics' defaults; those of the clipped trainer too.
        dataset: Numbers of the training split; None where unknown, and what depends on it is not judged.
        model: None stands for trained weights of an Ultralytics model.
        device: None stands for the CPU.
        ruleset: Rules and parameters; None takes those that come with the program, unconfigured.

    Raises:
        ArgumentError: An argument does not exist, or its value is of the wrong kind.
    """
    if ruleset is None:
        from sanitizer.config import Config

        ruleset = RuleSet.build(load_rules(), Config())
    facts = resolve_recipe(
        overrides, dataset or DatasetFacts(), model or ModelFacts(), device or DeviceFacts()
    )
    return sorted(run_recipe(facts, ruleset), key=lambda f: (-f.severity, f.rule))


def resolve_recipe(
    overrides: Mapping[str, Any], dataset: DatasetFacts, model: ModelFacts, device: DeviceFacts
) -> RecipeFacts:
    """The facts that T rules judge.

    Raises:
        ArgumentError: An argument does not exist, or its value is of the wrong kind.
    """
    arguments = resolve_arguments(overrides)
    epochs = number(arguments, "epochs") if not arguments["time"] else NAN  # measured once training runs
    imgsz = _image_size(arguments if "imgsz" in overrides or not model.imgsz else {"imgsz": model.imgsz})
    batches = _batches(arguments, dataset, epochs, device.n_devices)
    optimizer = _optimizer(arguments, overrides, dataset, batches, epochs)
    amp = str(arguments["amp"]).lower()
    is_amp = amp not in ("false", "fp32") and (device.is_gpu or amp == "bf16") and device.name != "mps"
    return RecipeFacts(
        task=dataset.task,
        is_fine_tuning=_is_fine_tuning(arguments, model),
        epochs=epochs,
        warmup_epochs=number(arguments, "warmup_epochs"),
        imgsz=imgsz,
        mosaic=number(arguments, "mosaic"),
        close_mosaic=number(arguments, "close_mosaic"),
        save_period=number(arguments, "save_period"),
        workers=number(arguments, "workers"),
        stride=model.stride,
        is_gpu=device.is_gpu,
        is_amp=is_amp,
        is_amp_supported=device.bfloat16 if amp == "bf16" else device.float16,
        amp=str(arguments["amp"]),
        device=device.name,
        n_devices=float(device.n_devices),
        is_deterministic=bool(arguments["deterministic"]),
        is_saving=bool(arguments["save"]),
        bare_convs=float(len(model.bare_convs)),
        bare_conv_names=_named(model.bare_convs),
        odd_inits=float(len(model.odd_inits)),
        odd_init_names=_named(model.odd_inits),
        custom_modules=float(len(model.custom_modules)),
        custom_module_names=_named(model.custom_modules),
        **optimizer,
        **_clipping(arguments, optimizer["optimizer"]),
        **batches,
        **_box_sizes(dataset, model.stride, imgsz),
    )


def _optimizer(
    arguments: Mapping[str, Any],
    overrides: Mapping[str, Any],
    dataset: DatasetFacts,
    batches: Mapping[str, Any],
    epochs: float,
) -> dict[str, Any]:
    """Optimizer, learning rate and momentum in force, as `BaseTrainer.build_optimizer` chooses them."""
    asked = str(arguments["optimizer"])
    name = {known.lower(): known for known in _OPTIMIZERS}.get(asked.lower())
    if name is None:
        raise ArgumentError(f"optimizer={asked}: there are {', '.join(_OPTIMIZERS)}")
    lr0, momentum = number(arguments, "lr0"), number(arguments, "momentum")
    bias_lr = number(arguments, "warmup_bias_lr")
    is_auto = name == "auto"
    if is_auto:
        in_step = np.fmax(batches["batch"], number(arguments, "nbs"))
        iterations = (
            math.ceil(batches["n_images"] / in_step) * epochs if not math.isnan(batches["n_images"]) else 0
        )
        classes = 10 if dataset.n_classes is None else dataset.n_classes
        rate = round(0.002 * 5 / (4 + classes), 6)
        name, lr0, momentum = ("MuSGD", 0.01, 0.9) if iterations > _AUTO_LONG_RUN else ("AdamW", rate, 0.9)
        bias_lr = 0.0
    return {
        "optimizer": name,
        "is_auto": is_auto,
        "is_sgd": name == "SGD",
        "is_musgd": name == "MuSGD",
        "is_adaptive": name in _ADAPTIVE,
        "lr0": lr0,
        "lr0_asked": number(arguments, "lr0") if "lr0" in overrides else NAN,
        "momentum": momentum,
        "warmup_bias_lr": bias_lr,
    }


def _clipping(arguments: Mapping[str, Any], optimizer: str) -> dict[str, Any]:
    """The clip limit in force, and whether a person set it."""
    limit = checked_limit(arguments["max_grad_norm"])
    is_adaptive = arguments["adaptive_percentile"] is not None
    return {
        "is_clip_adaptive": is_adaptive,
        "is_clip_set": limit != AUTO,
        "max_grad_norm": NAN if is_adaptive else clip_limit(limit, optimizer),
    }


def _batches(
    arguments: Mapping[str, Any], dataset: DatasetFacts, epochs: float, n_devices: int
) -> dict[str, Any]:
    """Images, batches and optimizer steps, as `BaseTrainer._build_train_pipeline` counts them."""
    batch, nbs = number(arguments, "batch"), number(arguments, "nbs")
    if batch < 1:  # Ultralytics measures what fits the GPU
        batch = NAN
    n_images = _used_images(arguments, dataset)
    accumulate = max(round(nbs / batch), 1) if batch == batch else NAN
    n_batches = math.ceil(n_images / batch) if math.isfinite(n_images / batch) else NAN
    if math.isfinite(n_batches * epochs):
        accumulate = min(accumulate, n_batches * epochs)
    steps = n_batches * epochs / accumulate
    last = (n_images % batch or batch) if math.isfinite(n_batches) else NAN
    return {
        "batch": batch,
        "nbs": nbs,
        "batch_per_device": batch // n_devices,
        "accumulate": accumulate,
        "n_images": n_images,
        "last_batch": last,
        "even_batch": _even_batch(n_images, batch),
        "steps": steps,
        "ema_decay": 0.9999 * (1 - math.exp(-steps / 2000)) if math.isfinite(steps) else NAN,
    }


def _used_images(arguments: Mapping[str, Any], dataset: DatasetFacts) -> float:
    """Training images after `fraction`: a share, a count, or one of these for each split, train first.

    NaN where nobody knows, and where none is left: of a run that cannot start nothing is judged by its length.
    """
    fraction = arguments["fraction"]
    if isinstance(fraction, list | tuple):
        fraction = fraction[0] if fraction else 1.0
    if not dataset.n_images or isinstance(fraction, bool) or not isinstance(fraction, int | float):
        return NAN
    if isinstance(fraction, int) and fraction > 1:
        return float(min(fraction, dataset.n_images))
    return float(round(dataset.n_images * fraction)) or NAN


def _even_batch(n_images: float, batch: float) -> float:
    """The nearest batch size, a larger one first, whose last batch is at least half full; else `batch`."""
    if not math.isfinite(n_images) or not math.isfinite(batch):
        return NAN
    for distance in range(int(batch)):
        for size in (batch + distance, batch - distance):
            rest = n_images % size
            if rest == 0 or rest >= size / 2:
                return size
    return batch


def _image_size(arguments: Mapping[str, Any]) -> float:
    """Side in pixels that the long side of an image is resized to."""
    size = arguments["imgsz"]
    return max(map(float, size)) if isinstance(size, list | tuple) else number(arguments, "imgsz")


def _box_sizes(dataset: DatasetFacts, stride: float, imgsz: float) -> dict[str, Any]:
    """Share of boxes with a side under one cell of the finest grid, and the image size that would mend it."""
    sides = dataset.short_sides
    if not len(sides):
        return {}
    needed = stride / float(np.quantile(sides, _BOXES_IN_TEN))
    return {
        "small_share": float(np.mean(sides * imgsz < stride)),
        "imgsz_needed": 32.0 * math.ceil(needed / 32 - 1e-9),
    }


def _is_fine_tuning(arguments: Mapping[str, Any], model: ModelFacts) -> bool:
    pretrained = arguments["pretrained"]
    return isinstance(pretrained, str) or (model.is_trained and pretrained is not False)


def _named(names: tuple[str, ...], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
