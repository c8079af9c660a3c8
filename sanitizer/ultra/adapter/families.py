"""Which kinds of models can be probed and trained: a model's head, the last layer of its yaml, tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.ultra.model_yaml import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

DETR = "RTDETRDecoder"
"""Head of RT-DETR, whose queries are matched with label rows one to one."""

TASK_OF_HEAD: Mapping[str, str] = {
    "Detect": "detect",
    "v10Detect": "detect",
    DETR: "detect",
    "Segment": "segment",
    "Segment26": "segment",
    "Pose": "pose",
    "Pose26": "pose",
    "OBB": "obb",
    "OBB26": "obb",
}

_OTHERS: Mapping[str, str] = {
    "WorldDetect": "a YOLO-World model, which takes its classes as text,",
    "YOLOEDetect": "a YOLOE model, which takes its classes as text or pictures,",
    "YOLOESegment": "a YOLOE model, which takes its classes as text or pictures,",
    "YOLOESegment26": "a YOLOE model, which takes its classes as text or pictures,",
    "Classify": "a classification model",
    "SemanticSegment": "a semantic segmentation model",
    "Depth": "a depth model",
}

_SUPPORTED = "probe, preflight and train take YOLO and RT-DETR models for detect, segment, pose and obb"


def head_of(config: Mapping[str, Any]) -> str:
    """Class name of the head in a model yaml that `check_model_yaml` accepted."""
    return str(config["head"][-1][2])


def task_of(head: str, name: str) -> str:
    """The task that a model with this head is made for.

    Args:
        head: As `head_of` gives it.
        name: Name of the file, for the message.

    Raises:
        ModelError: Models of this kind are not supported.
    """
    if head in TASK_OF_HEAD:
        return TASK_OF_HEAD[head]
    kind = _OTHERS.get(head, f"a model that ends in the layer {head}")
    raise ModelError(f"{name}: {kind} is not supported: {_SUPPORTED}")
