"""Builds a model for a dataset, from a model yaml or from weights; loading weights runs no code in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sanitizer.ultra.adapter.families import DETR, head_of, task_of
from sanitizer.ultra.adapter.weights import load_restricted
from sanitizer.ultra.checkpoint import read_checkpoint
from sanitizer.ultra.library import RTDETR, TASK_MODELS, YOLO, Conv, RTDETRDetectionModel
from sanitizer.ultra.model_size import check_size
from sanitizer.ultra.model_yaml import ModelError as ModelError
from sanitizer.ultra.model_yaml import read_model_yaml
from sanitizer.util.bounded_read import open_regular
from sanitizer.util.escape import first_line

if TYPE_CHECKING:
    from sanitizer.dataset.tables import TaskSpec


def build_model(name: str, spec: TaskSpec, trust_weights: bool = False) -> nn.Module:
    """The model that training would start from: the architecture of the file with a head for the dataset's classes.

    Args:
        name: A .pt file, or a model .yaml, by path or by a name that Ultralytics knows (yolo11n.yaml).
        spec: The dataset's task, classes and keypoints.
        trust_weights: Load the file even if it can run code.

    Returns:
        A float32 model on the CPU.

    Raises:
        ModelError: There is no such file, it is not a checkpoint, it was made for another task, or it contains more
            than plain tensors and known classes and `trust_weights` is False.
    """
    weights, config = _weights_and_config(name, trust_weights)
    made_for = task_of(head_of(config), name)
    if made_for != spec.task:
        raise ModelError(
            f"{name} was made for {made_for}, and the dataset is for {spec.task}: name another model, "
            f"or say --task {made_for}"
        )
    kind = RTDETRDetectionModel if head_of(config) == DETR else TASK_MODELS[spec.task]
    settings: dict[str, Any] = {"data_kpt_shape": list(spec.kpt_shape)} if spec.task == "pose" else {}
    activation = Conv.default_act
    try:
        if not (weights is not None and trust_weights):
            check_size({**config, "nc": spec.nc or config.get("nc")}, 3)
        model = kind(config, nc=spec.nc, ch=3, verbose=False, **settings)
    except Exception as error:
        raise ModelError(f"{name}: no model can be built of it ({first_line(error)})") from error
    finally:
        Conv.default_act = activation  # Ultralytics changes it, and does not reset it after an error
    if weights is not None:
        model.names = dict(spec.names)
        model.load(weights, verbose=False)
    built: Any = model
    built.names, built.nc, built.task = dict(spec.names), spec.nc, spec.task
    return model


def check_model_file(name: str, trust_weights: bool = False) -> None:
    """Refuse a model file if loading or building it would run code, download something or fail.

    Args:
        name: As for `build_model`.
        trust_weights: Only check that a .pt file exists.

    Raises:
        ModelError: The text says what is wrong with the file.
    """
    if name.endswith(".pt"):
        if trust_weights:
            _check_regular(name)
            return
        config = read_checkpoint(name).model_yaml
        if config is None:
            raise ModelError(f"{name}: holds no Ultralytics model")
    else:
        config = _read_yaml(name)
    task_of(head_of(config), name)
    try:
        check_size(config, config.get("channels") or 3)
    except Exception as error:
        raise ModelError(f"{name}: no model can be built of it ({first_line(error)})") from error


def is_detr(model: nn.Module) -> bool:
    """Whether a built model is an RT-DETR model."""
    layers: Any = getattr(model, "model", None)
    return layers is not None and type(layers[-1]).__name__ == DETR


def head_of_file(name: str) -> str:
    """Class name of the head of a model file; "" if the file cannot be read as `check_model_file` reads it."""
    try:
        config = read_checkpoint(name).model_yaml if name.endswith(".pt") else _read_yaml(name)
    except ModelError:
        return ""
    return head_of(config) if config else ""


def model_to_train(name: str) -> Any:
    """Ultralytics' model of a file, such as `YOLO(name)`; the file passed `check_model_file`."""
    return (RTDETR if head_of_file(name) == DETR else YOLO)(name)


def trained_imgsz(path: str, trust_weights: bool = False) -> float | None:
    """Input size, pixels, that the weights were trained at; None if the file does not say.

    Ultralytics uses this size if the user gives no imgsz.

    Raises:
        ModelError: As for `build_model`.
    """
    arguments = _unpickled(path).get("train_args") if trust_weights else read_checkpoint(path).arguments
    size = arguments.get("imgsz") if isinstance(arguments, dict) else None
    if isinstance(size, list | tuple) and size:
        size = max(size)
    return float(size) if isinstance(size, int | float) else None


def _weights_and_config(name: str, trust: bool) -> tuple[Any, dict[str, Any]]:
    """(the loaded model of a .pt, or None for a yaml; the model yaml to build from)."""
    if not name.endswith(".pt"):
        return None, _read_yaml(name)
    if not trust and read_checkpoint(name).model_yaml is None:
        raise ModelError(f"{name}: holds no Ultralytics model")
    checkpoint = _unpickled(name) if trust else _loaded(name)
    model: Any = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "yaml", None), dict):
        raise ModelError(f"{name}: holds no Ultralytics model")
    loaded: Any = model.float()
    return loaded, loaded.yaml


def _read_yaml(name: str) -> dict[str, Any]:
    if not name.endswith((".yaml", ".yml")):
        raise ModelError(f"{name}: a model is a .pt file or a .yaml")
    return read_model_yaml(name)


def _loaded(path: str) -> dict[str, Any]:
    """Load a checkpoint that `read_checkpoint` accepted."""
    try:
        checkpoint: dict[str, Any] = load_restricted(path)
    except Exception as error:
        raise ModelError(f"{path}: no checkpoint that can be read ({first_line(error)})") from error
    return checkpoint


def _unpickled(path: str) -> dict[str, Any]:
    """Load a trusted checkpoint, without what it carries or, if that fails, with PyTorch's full loader."""
    _check_regular(path)
    try:
        checkpoint = load_restricted(path)
    except Exception:
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:
            raise ModelError(f"{path}: no checkpoint that can be read ({first_line(error)})") from error
    return checkpoint if isinstance(checkpoint, dict) else {}


def _check_regular(path: str) -> None:
    try:
        open_regular(path).close()
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: there is no such file, and nothing is downloaded; name a .pt file that is here"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
