"""The functions and classes of Ultralytics that other rooms use, under their own names.

Modules outside this room import them from here, and not from Ultralytics.
"""

from __future__ import annotations

from typing import Any

# ruff: noqa: E402
from sanitizer.ultra.adapter.requirement import check_installed

check_installed()

from ultralytics.cfg import get_cfg, get_save_dir
from ultralytics.data import dataset as dataset_module
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import img2label_paths
from ultralytics.engine import trainer as trainer_module
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models import RTDETR, YOLO, yolo
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.rtdetr.val import RTDETRDataset
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import (
    DetectionModel,
    OBBModel,
    PoseModel,
    RTDETRDetectionModel,
    SegmentationModel,
)
from ultralytics.utils import DEFAULT_CFG, LOGGER, RANK
from ultralytics.utils.loss import v8DetectionLoss
from ultralytics.utils.metrics import batch_probiou, box_iou
from ultralytics.utils.ops import crop_mask
from ultralytics.utils.torch_utils import autocast, unwrap_model

__all__ = [
    "DEFAULT_CFG",
    "LOGGER",
    "RANK",
    "REPEATS_EPOCHS",
    "RTDETR",
    "TASK_MODELS",
    "TASK_TRAINERS",
    "YOLO",
    "BaseTrainer",
    "Conv",
    "RTDETRDataset",
    "RTDETRDetectionModel",
    "RTDETRTrainer",
    "YOLODataset",
    "autocast",
    "batch_probiou",
    "box_iou",
    "crop_mask",
    "dataset_module",
    "get_cfg",
    "get_save_dir",
    "img2label_paths",
    "trainer_module",
    "unwrap_model",
    "v8DetectionLoss",
]

TASK_TRAINERS: dict[str, type[Any]] = {
    "detect": yolo.detect.DetectionTrainer,
    "segment": yolo.segment.SegmentationTrainer,
    "pose": yolo.pose.PoseTrainer,
    "obb": yolo.obb.OBBTrainer,
}
"""Task to Ultralytics' trainer; these tasks can be probed and trained."""

TASK_MODELS: dict[str, type[Any]] = {
    "detect": DetectionModel,
    "segment": SegmentationModel,
    "pose": PoseModel,
    "obb": OBBModel,
}
"""Task to Ultralytics' class of a YOLO model."""


REPEATS_EPOCHS = hasattr(BaseTrainer, "_handle_nan_recovery")
"""At an epoch's end, Ultralytics' trainer asks whether to repeat it, as weights are not finite; 8.3.200 does not."""


def trainer_for(task: str, is_detr: bool = False) -> type[Any]:
    """Ultralytics' trainer for a task and for a YOLO model or an RT-DETR model."""
    return RTDETRTrainer if is_detr else TASK_TRAINERS[task]
