"""What the trained model alone says of each image: its loss, its gradient norm, and its predictions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from injection.inject import label_of, train_images
from injection.rows import Row, corners, training_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.05
"""Least confidence of a prediction that is handed on."""
VAL_CONFIDENCE = 0.001
"""The same in Ultralytics' validation, which lets a box have several classes."""
NMS_IOU = 0.7


@dataclass(frozen=True, slots=True)
class ModelView:
    """One training image as the model sees it. R label rows, P predictions.

    Attributes:
        image: Path relative to the set.
        loss: Training loss of the image as a batch of one: box, class and DFL parts summed.
        grad_norm: L2 norm of that loss's gradient by all parameters, BatchNorm frozen, no clipping.
        rows: Its label rows as training has them: exact duplicates once.
        row_loss: float64 (R,) the box loss and the classification loss of each row: see `loss_of_rows`.
        labels: float64 (R, 4) their corners, pixels of the image.
        predictions: float64 (P, 6) corners in pixels of the image, confidence, class; after NMS.
        val_predictions: float64 (V, 6) the same as validation makes them: from `VAL_CONFIDENCE` on.
        width, height: Of the image, pixels.
    """

    image: str
    loss: float
    grad_norm: float
    rows: Sequence[Row]
    row_loss: NDArray[np.float64]
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    val_predictions: NDArray[np.float64]
    width: int
    height: int


def trained_model(weights: str) -> Any:
    """The model in a file that `train` wrote."""
    from ultralytics.models.yolo.model import YOLO

    return YOLO(weights).model


def probed_model(data_yaml: str, weights: str, probe_dir: str) -> Any:
    """The very model that a probe asked, after its warm-up.

    Args:
        data_yaml: What was probed.
        weights: What the probe started from.
        probe_dir: Folder that the probe kept its state in.
    """
    import torch

    from sanitizer.archives.finding import find_dataset
    from sanitizer.ultra.model import build_model
    from sanitizer.ultra.silence import silent_ultralytics

    with silent_ultralytics():
        model = build_model(weights, find_dataset([data_yaml]).task_spec("detect"))
    model.load_state_dict(torch.load(os.path.join(probe_dir, "state.pt"), weights_only=True))
    return model


def view_images(work_dir: str, model: Any, imgsz: int) -> Iterator[ModelView]:
    """Look at every training image of an injected set: no augmentation, a square letterbox, float32, one by one."""
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.patches import imread

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
        batch = batch_of_one(tensor, rows, frame)
        loss, norm, of_rows = losses_and_norm(model, batch)
        labels = corners([row.box for row in rows]) * [width, height, width, height]
        found = predict(model, tensor, frame)
        yield ModelView(image, loss, norm, rows, of_rows, labels, *found, width, height)


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


def batch_of_one(image: Any, rows: Sequence[Row], frame: Frame) -> dict[str, Any]:
    """One image and its rows as Ultralytics collates them."""
    import torch

    boxes = frame.to_letterbox(np.array([row.box for row in rows], np.float64).reshape(-1, 4))
    return {
        "img": image,
        "batch_idx": torch.zeros(len(rows)),
        "cls": torch.tensor([[float(row.class_id)] for row in rows]).reshape(-1, 1),
        "bboxes": torch.from_numpy(boxes).float(),
    }


def losses_and_norm(model: Any, batch: Mapping[str, Any]) -> tuple[float, float, NDArray[np.float64]]:
    """Training loss of one image, L2 norm of its gradient by all parameters, and `loss_of_rows`."""
    import torch

    from sanitizer.probe.gradients.outputs import freeze_batchnorm, loss_at_outputs

    freeze_batchnorm(model)
    preds = model(batch["img"])
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    total = model.criterion(preds, batch)[0].sum()
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
    squares = [float(g.square().sum()) for g in gradient if g is not None]
    assignment = next(iter(loss_at_outputs(model.criterion, preds, batch).assignments.values()))
    of_rows = loss_of_rows(model, preds, assignment, batch["cls"][:, 0].long())
    return float(total.detach()), float(np.sqrt(sum(squares))), of_rows


def loss_of_rows(model: Any, preds: Any, assignment: Any, class_id: Any) -> NDArray[np.float64]:
    """float64 (R,): how far the predictions of each row's anchors lie from the row, a row without anchors farthest.

    The two parts are those of arXiv 2303.06999, for a detector of one stage: cross entropy with the row's class alone,
    and 1 − CIoU with its box, weighed as in training, and averaged over the anchors that the assigner gives to the row.
    """
    import torch
    from ultralytics.utils.metrics import bbox_iou

    scores = preds["one2many"]["scores"] if "one2many" in preds else preds["scores"]
    found = np.full(len(class_id), np.inf)
    for row, of_class in enumerate(class_id.tolist()):
        anchors = assignment.foreground[0] & (assignment.target[0] == row)
        if not bool(anchors.any()):
            continue
        logits = scores[0][:, anchors].detach()
        target = torch.zeros_like(logits)
        target[of_class] = 1
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(
            0
        )
        boxes = assignment.predicted_boxes[0][anchors]
        apart = 1 - bbox_iou(boxes, assignment.gt_boxes[0, row][None], xywh=False, CIoU=True)[:, 0]
        found[row] = float((model.args.cls * entropy + model.args.box * apart).mean())
    return found


def predict(model: Any, image: Any, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float64 (P, 6) and (V, 6): `ModelView.predictions` and `ModelView.val_predictions`."""
    import torch
    from ultralytics.utils.nms import non_max_suppression

    model.eval()
    with torch.no_grad():
        outputs = model(image)
        surer = non_max_suppression(outputs, CONFIDENCE, NMS_IOU)[0]
        every = non_max_suppression(outputs, VAL_CONFIDENCE, NMS_IOU, multi_label=True)[0]
    found = [boxes.double().numpy() for boxes in (surer, every)]
    surer, every = (np.concatenate([frame.to_image(b[:, :4]), b[:, 4:]], axis=1) for b in found)
    return surer, every
