"""The model to probe, built for a dataset: from weights that are loaded without running what they carry, or a yaml."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.nn.tasks import DetectionModel, OBBModel, PoseModel, SegmentationModel

if TYPE_CHECKING:
    from sanitizer.dataset.tables import TaskSpec

MODEL_OF_TASK: dict[str, type[DetectionModel]] = {
    "detect": DetectionModel,
    "segment": SegmentationModel,
    "pose": PoseModel,
    "obb": OBBModel,
}


class ModelError(Exception):
    """The model cannot be used; the text is a sentence."""


def build_model(name: str, spec: TaskSpec, channels: int = 3, trust_weights: bool = False) -> nn.Module:
    """The model that training would start from: the weights' architecture with a head for this dataset's classes.

    Args:
        name: A .pt file, or a model .yaml, by path or by a name that Ultralytics knows (yolo11n.yaml).
        spec: The dataset's task, classes and keypoints.
        channels: Of the images.
        trust_weights: Unpickle whatever the file carries, which may run code of its maker.

    Raises:
        ModelError: There is no such file, it is no checkpoint, it is made for another task, or it would need more
            than plain tensors and known classes and is not trusted.
    """
    weights = _load(name, trust_weights) if name.endswith(".pt") else None
    if weights is None and not name.endswith((".yaml", ".yml")):
        raise ModelError(f"{name}: a model is a .pt file or a .yaml")
    kind = MODEL_OF_TASK[spec.task]
    settings: dict[str, Any] = {"data_kpt_shape": list(spec.kpt_shape)} if spec.task == "pose" else {}
    try:
        model = kind(
            weights.yaml if weights is not None else name, nc=spec.nc, ch=channels, verbose=False, **settings
        )
    except Exception as error:
        raise ModelError(f"{name}: no model can be built of it ({_first_line(error)})") from error
    made_for = tasks.guess_model_task(weights if weights is not None else model.yaml)  # type: ignore[no-untyped-call]
    if made_for != spec.task:
        raise ModelError(
            f"{name} was made for {made_for}, and the dataset is for {spec.task}: name another model, "
            f"or say --task {made_for}"
        )
    if weights is not None:
        model.names = dict(spec.names)
        model.load(weights, verbose=False)  # type: ignore[no-untyped-call]
    built: Any = model
    built.names, built.nc, built.task = dict(spec.names), spec.nc, spec.task
    return model


def trained_imgsz(path: str, trust_weights: bool = False) -> float | None:
    """Input size, pixels, that weights were trained at: Ultralytics takes it over where no imgsz is given.

    Raises:
        ModelError: As for `build_model`.
    """
    arguments = _checkpoint(path, trust_weights).get("train_args")
    size = arguments.get("imgsz") if isinstance(arguments, dict) else None
    if isinstance(size, list | tuple) and size:
        size = max(size)
    return float(size) if isinstance(size, int | float) else None


def _load(path: str, trust: bool) -> Any:
    checkpoint = _checkpoint(path, trust)
    model = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(model, nn.Module):
        raise ModelError(f"{path}: holds no Ultralytics model")
    return model.float()


def _checkpoint(path: str, trust: bool) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise ModelError(
            f"{path}: there is no such file, and nothing is downloaded; name a .pt file that is here"
        )
    try:
        checkpoint = _unpickled(path, trust)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{path}: no checkpoint that can be read ({_first_line(error)})") from error
    return checkpoint if isinstance(checkpoint, dict) else {}


def _unpickled(path: str, trust: bool) -> Any:
    try:
        # An absolute path: a bare name of a published model would be looked for on the network.
        return tasks.torch_safe_load(os.path.abspath(path), safe_only=True)[0]  # type: ignore[no-untyped-call]
    except TypeError as error:
        if "outside the supported" not in str(error):
            raise
        if not trust:
            raise ModelError(
                f"{path}: loading it would run code that it carries; --trust-weights allows that, "
                "if you know who made the file"
            ) from error
    return torch.load(path, map_location="cpu", weights_only=False)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
