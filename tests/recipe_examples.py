"""Resolves the recipe that an example of a T rule describes.

recipe: optimizer=SGD lr0=0.05   # train arguments as on a command line
model: yaml                      # pretrained (default) | yaml | bare-conv | odd-init | custom
device: gpu                      # cpu (default) | gpu | gpu-without-amp
images: 321                      # training images; 205 by default
classes: 80                      # 3 by default
box_side: 0.01                   # shorter side of all boxes, as a share of the image's long side; 0.2 by default
suggests: lr0=0.01               # what the finding must suggest
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.config import Config
from sanitizer.preflight.dataset_facts import DatasetFacts
from sanitizer.preflight.model_facts import DeviceFacts, ModelFacts
from sanitizer.preflight.recipe import check_recipe
from sanitizer.rules.language.pack import load_rules
from sanitizer.rules.ruleset import RuleSet
from sanitizer.ultra.arguments import parse_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.findings.finding import Finding

KEYS = {"about", "recipe", "model", "device", "images", "classes", "box_side", "suggests"}

MODELS = {
    "pretrained": ModelFacts(),
    "yaml": ModelFacts(is_trained=False),
    "bare-conv": ModelFacts(bare_convs=("model.3.conv",)),
    "odd-init": ModelFacts(is_trained=False, odd_inits=("model.3.conv",)),
    "custom": ModelFacts(custom_modules=("mine.Attention",)),
}
DEVICES = {
    "cpu": DeviceFacts(),
    "gpu": DeviceFacts("an RTX 4090", is_gpu=True, float16=True, bfloat16=True),
    "gpu-without-amp": DeviceFacts("a GTX 1660", is_gpu=True),
}


def recipe_findings(example: Mapping[str, Any], *codes: str) -> list[Finding]:
    """What the rules, or some of them, find in the example."""
    unknown = set(example) - KEYS
    if unknown:
        raise ValueError(f"unknown example keys: {', '.join(sorted(unknown))}")
    arguments = parse_arguments(str(example["recipe"]).split())
    devices = len(str(arguments.get("device", "0")).split(",")) if example.get("device") else 1
    device = DEVICES[example.get("device", "cpu")]
    return check_recipe(
        arguments | ({"device": str(arguments["device"])} if "device" in arguments else {}),
        DatasetFacts(
            n_images=example.get("images", 205),
            n_classes=example.get("classes", 3),
            short_sides=np.full(50, example.get("box_side", 0.2)),
        ),
        MODELS[example.get("model", "pretrained")],
        DeviceFacts(device.name, device.is_gpu, devices, device.float16, device.bfloat16),
        RuleSet.build(load_rules(), Config(select=codes or ("T",))),
    )
