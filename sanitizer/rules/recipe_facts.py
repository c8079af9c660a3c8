"""What a rule of scope `recipe` may name: the train arguments as training will use them, and what they meet."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanitizer.dataset.tables import Task
    from sanitizer.rules.language.expression import Kind

NAN = math.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecipeFacts:
    """A training recipe, resolved. Numbers that nobody knows are NaN, and rules are silent about them.

    Attributes:
        task: What is trained.
        optimizer: As torch names it; with `optimizer=auto` the one that Ultralytics will choose.
        is_auto, is_sgd, is_musgd: `optimizer=auto` was asked for; the optimizer is SGD; it is MuSGD.
        is_adaptive: It divides by the size of past gradients (Adam family, RMSprop), so that the length of a step
            hardly depends on that of the gradient.
        lr0, momentum, warmup_bias_lr: In force, after `optimizer=auto` has had its way.
        lr0_asked: What the recipe says; NaN where it says nothing.
        is_fine_tuning: Training starts from trained weights.
        epochs, warmup_epochs, imgsz, mosaic, close_mosaic, save_period, workers, nbs: The arguments.
        batch: Images an iteration over all devices; NaN where Ultralytics will measure what fits.
        n_devices: GPUs, or 1.
        batch_per_device: Images that one BatchNorm sees at once.
        accumulate: Batches gathered into one optimizer step after warm-up.
        n_images: Training images that are left once broken ones are dropped.
        last_batch: Images in the last batch of an epoch.
        even_batch: Batch size near `batch` whose last batch is at least half full.
        steps: Optimizer steps of the whole run.
        ema_decay: Decay that the weight average reaches at the end: 0 is no averaging.
        max_grad_norm: Clip limit; NaN where the limit follows the norms.
        is_clip_set: A person set the limit; else it is what `auto` stands for.
        is_clip_adaptive: The limit is a percentile of the norms so far.
        stride: Pixels of one cell of the model's finest grid.
        small_share: Share of training boxes with a side under `stride`, once the image is resized to imgsz.
        imgsz_needed: Size at which nine boxes in ten have no such side.
        is_gpu: Training runs on an accelerator.
        is_amp: Mixed precision will be on. On a CPU Ultralytics turns it off, unless bf16 was asked for.
        is_amp_supported: The device is known to compute right under that precision.
        amp, device: Texts.
        is_deterministic, is_saving: The arguments `deterministic` and `save`.
        bare_convs: Convolutions without normalisation, those that end a head left aside; `bare_conv_names`.
        odd_inits: Untrained layers whose weights have a spread far off the usual; `odd_init_names`.
        custom_modules: Classes of modules that are neither torch's nor Ultralytics'; `custom_module_names`.
    """

    task: Task = "detect"
    optimizer: str = ""
    is_auto: bool = False
    is_sgd: bool = False
    is_musgd: bool = False
    is_adaptive: bool = False
    lr0: float = NAN
    lr0_asked: float = NAN
    momentum: float = NAN
    is_fine_tuning: bool = False
    epochs: float = NAN
    warmup_epochs: float = NAN
    warmup_bias_lr: float = NAN
    imgsz: float = NAN
    mosaic: float = NAN
    close_mosaic: float = NAN
    save_period: float = NAN
    workers: float = NAN
    nbs: float = NAN
    batch: float = NAN
    n_devices: float = 1.0
    batch_per_device: float = NAN
    accumulate: float = NAN
    n_images: float = NAN
    last_batch: float = NAN
    even_batch: float = NAN
    steps: float = NAN
    ema_decay: float = NAN
    max_grad_norm: float = NAN
    is_clip_set: bool = False
    is_clip_adaptive: bool = False
    stride: float = NAN
    small_share: float = NAN
    imgsz_needed: float = NAN
    is_gpu: bool = False
    is_amp: bool = False
    is_amp_supported: bool = True
    amp: str = ""
    device: str = ""
    is_deterministic: bool = True
    is_saving: bool = True
    bare_convs: float = 0.0
    bare_conv_names: str = ""
    odd_inits: float = 0.0
    odd_init_names: str = ""
    custom_modules: float = 0.0
    custom_module_names: str = ""


_KINDS: dict[str, Kind] = {"float": "number", "bool": "truth"}

RECIPE_NAMES: dict[str, Kind] = {
    field.name: _KINDS[str(field.type)] for field in fields(RecipeFacts) if field.type in _KINDS
}
"""Names that expressions may use."""

RECIPE_TEXTS: tuple[str, ...] = tuple(f.name for f in fields(RecipeFacts) if f.name not in RECIPE_NAMES)
"""Names that only messages may use."""
