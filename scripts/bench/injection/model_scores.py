"""What the trained model alone says of each image: its loss, its gradient norm, and its predictions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from injection.inject import label_of, train_images
from injection.rows import Row, corners, training_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.05
"""Least confidence of a prediction that is handed on."""
NMS_IOU = 0.7


@dataclass(frozen=True, slots=True)
class ModelView:
    """One training image as the model sees it. R label rows, P predictions.

    Attributes:
        image: Path relative to the set.
        loss: Training loss of the image as a batch of one: box, class and DFL parts summed.
        grad_norm: L2 norm of that loss's gradient by all parameters, BatchNorm frozen, no clipping.
        rows: Its label rows as training has them: exact duplicates once.
        labels: float64 (R, 4) their corners, pixels of the image.
        predictions: float64 (P, 6) corners in pixels of the image, confidence, class; after NMS.
        width, height: Of the image, pixels.
    """

    image: str
    loss: float
    grad_norm: float
    rows: Sequence[Row]
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    width: int
    height: int


def view_images(work_dir: str, weights: str, imgsz: int) -> Iterator[ModelView]:
    """Look at every training image of an injected set: no augmentation, a square letterbox, float32, one by one."""
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import LetterBox
    from ultralytics.models.yolo.model import YOLO
    from ultralytics.utils.patches import imread

    model: Any = YOLO(weights).model
    model.float()
    model.args = get_cfg(overrides={"task": "detect", "imgsz": imgsz})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".dfl" not in name)  # fixed in training, too
    letterbox: Any = LetterBox((imgsz, imgsz))
    for image in train_images(work_dir):
        pixels: Any = imread(os.path.join(work_dir, image))
        height, width = pixels.shape[:2]
        square = np.ascontiguousarray(letterbox(image=pixels)[..., ::-1].transpose(2, 0, 1))
        tensor = torch.from_numpy(square)[None].float() / 255
        frame = Frame.of(width, height, imgsz)
        rows = training_rows(label_of(os.path.join(work_dir, image)))
        loss, norm = loss_and_norm(model, tensor, rows, frame)
        labels = corners([row.box for row in rows]) * [width, height, width, height]
        yield ModelView(image, loss, norm, rows, labels, predict(model, tensor, frame), width, height)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an image lies in its letterbox, as `LetterBox` puts it: resized by `scale`, from (left, top) on, pixels."""

    width: int
    height: int
    scale: float
    left: int
    top: int
    imgsz: int

    @classmethod
    def of(cls, width: int, height: int, imgsz: int) -> Frame:
        """The frame of an image of this size."""
        scale = min(imgsz / width, imgsz / height)
        left, top = (round((imgsz - round(side * scale)) / 2 - 0.1) for side in (width, height))
        return cls(width, height, scale, left, top, imgsz)

    def to_letterbox(self, xywh: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (N, 4) normalised by the image, normalised by the letterbox."""
        pixels = xywh * [self.width, self.height, self.width, self.height] * self.scale
        return np.asarray((pixels + np.array([self.left, self.top, 0, 0])) / self.imgsz)

    def to_image(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corners (N, 4) in letterbox pixels, in image pixels and inside the image."""
        pixels = (xyxy - [self.left, self.top, self.left, self.top]) / self.scale
        return np.clip(pixels, 0, [self.width, self.height, self.width, self.height])


def loss_and_norm(model: Any, image: Any, rows: Sequence[Row], frame: Frame) -> tuple[float, float]:
    """Training loss of one image, and the L2 norm of its gradient by all parameters."""
    import torch

    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    boxes = frame.to_letterbox(np.array([row.box for row in rows], np.float64).reshape(-1, 4))
    batch = {
        "img": image,
        "batch_idx": torch.zeros(len(rows)),
        "cls": torch.tensor([[float(row.class_id)] for row in rows]).reshape(-1, 1),
        "bboxes": torch.from_numpy(boxes).float(),
    }
    total = model.loss(batch)[0].sum()
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(total, parameters, allow_unused=True)
    squares = [float(g.square().sum()) for g in gradient if g is not None]
    return float(total.detach()), float(np.sqrt(sum(squares)))


def predict(model: Any, image: Any, frame: Frame) -> NDArray[np.float64]:
    """float64 (P, 6): corners in image pixels, confidence, class."""
    import torch
    from ultralytics.utils.nms import non_max_suppression

    model.eval()
    with torch.no_grad():
        found = non_max_suppression(model(image), CONFIDENCE, NMS_IOU)[0].double().numpy()
    return np.concatenate([frame.to_image(found[:, :4]), found[:, 4:]], axis=1)
