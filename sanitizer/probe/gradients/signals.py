"""Compares an image's predictions with its labels: how well they support each row, and which objects have no row.

All numbers come from the outputs and the assignment that the attribution of the batch needs anyway. Boxes are in pixels
of the network's input; `Letterbox` converts them to normalised coordinates of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.ultra.library import batch_probiou, box_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.probe.gradients.outputs import Assignment

SEEN_AT_LEAST = 0.03
"""Predictions with a lower class probability are ignored. The others are compared over the whole dataset."""
SAME_OBJECT_IOU = 0.5
"""Two predictions, or a prediction and a label, with a larger IoU belong to the same object."""
UNMATCHED_IOU = 0.4
"""A prediction has no label if its IoU with every label is smaller."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a resized image is in the network's square input.

    Attributes:
        left, top: Padding, input pixels.
        width, height: Size of the resized image, input pixels.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, image_width: int, image_height: int, imgsz: int) -> Letterbox:
        """The letterbox of Ultralytics' loader: it resizes the long side to imgsz, then pads both sides equally.

        Args:
            image_width: Pixels of the image file.
            image_height: Pixels of the image file.
            imgsz: Side of the input, pixels.
        """
        scale = imgsz / max(image_width, image_height)
        width = min(math.ceil(image_width * scale), imgsz)
        height = min(math.ceil(image_height * scale), imgsz)
        return cls(round((imgsz - width) / 2 - 0.1), round((imgsz - height) / 2 - 0.1), width, height)

    @property
    def area(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the image in the input, pixels."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    def normalised(self, xyxy: torch.Tensor) -> torch.Tensor:
        """Convert boxes (N, 4), xyxy in input pixels, to (N, 4) xywh, normalised in the image and cut at its edges."""
        low = torch.tensor([self.left, self.top, self.left, self.top], device=xyxy.device)
        size = torch.tensor([self.width, self.height, self.width, self.height], device=xyxy.device)
        x1, y1, x2, y2 = ((xyxy - low) / size).clamp(0, 1).unbind(1)
        return torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point in input pixels to normalised ones; a point in the padding moves to the image's edge."""
        return (
            min(max((x - self.left) / self.width, 0.0), 1.0),
            min(max((y - self.top) / self.height, 0.0), 1.0),
        )


@dataclass(frozen=True, slots=True)
class ImageSignals:
    """What the predictions say about one image with R label rows and P predicted objects. Arrays without type: float64.

    Attributes:
        support: (R,) largest product, over all predictions, of the probability of the row's class and the IoU, 0 to 1.
        best_iou: (R,) IoU of the closest prediction of any class.
        other_class: int64 (R,) most probable class, except the row's own, among predictions on the row's box.
        other_probability: (R,) probability of `other_class` there; 0 if no prediction is on the box.
        own_probability: (R,) largest probability of the row's own class there; 0 if no prediction is on the box.
        weight: (R,) label weight: sum of the class-score targets that the assigner gave to the row's anchors. Training
            learns more from a row with a larger weight.
        object_score: (P,) class probability of each predicted object, after non-maximum suppression.
        object_class: int64 (P,) class of each predicted object.
        object_iou: (P,) IoU with the closest label row.
        object_touch: (P,) largest share of an object, or of a label row, that lies in the other one of the two.
        object_xywh: (P, 4) centre and size, normalised in the image.
    """

    support: NDArray[np.float64]
    best_iou: NDArray[np.float64]
    other_class: NDArray[np.int64]
    other_probability: NDArray[np.float64]
    own_probability: NDArray[np.float64]
    weight: NDArray[np.float64]
    object_score: NDArray[np.float64]
    object_class: NDArray[np.int64]
    object_iou: NDArray[np.float64]
    object_touch: NDArray[np.float64]
    object_xywh: NDArray[np.float64]

    def placed(self, order: NDArray[np.int64], n_rows: int) -> ImageSignals:
        """The same signals for `n_rows` rows, of which these are the rows with the numbers `order`, int64 (R,).

        The others are rows that the loss did not use: their `weight` is 0, their other numbers are NaN (class: -1).
        """

        def spread(values: NDArray[Any], missing: float) -> NDArray[Any]:
            placed = np.full(n_rows, missing, values.dtype)
            placed[order] = values
            return placed

        return replace(
            self,
            support=spread(self.support, np.nan),
            best_iou=spread(self.best_iou, np.nan),
            other_class=spread(self.other_class, -1),
            other_probability=spread(self.other_probability, np.nan),
            own_probability=spread(self.own_probability, np.nan),
            weight=spread(self.weight, 0.0),
        )


def image_signals(
    probabilities: torch.Tensor,
    predicted: torch.Tensor,
    objects: torch.Tensor,
    assignment: Assignment,
    index: int,
    class_id: torch.Tensor,
    gt_boxes: torch.Tensor,
    letterbox: Letterbox,
) -> ImageSignals:
    """Compare one image's predictions with its rows.

    Args:
        probabilities: float (A, nc) class probabilities at every anchor.
        predicted: float (A, 4 or 5) predicted boxes, input pixels, in the form of `gt_boxes`.
        objects: int64 (P,) anchors of different objects (`different_objects`).
        assignment: The assigner's result for the batch.
        index: Number of the image in the batch.
        class_id: int64 (R,) classes of the rows.
        gt_boxes: float (R, 4) xyxy, or (R, 5) xywh and angle of oriented boxes, input pixels.
        letterbox: Where the image is in the input.
    """
    iou = overlaps(predicted, gt_boxes.float())  # (A, R)
    n_rows = len(class_id)
    own = probabilities[:, class_id]  # (A, R)
    support = (own * iou).amax(0) if n_rows else own.new_zeros(0)
    on_box = iou > SAME_OBJECT_IOU
    own_there = torch.where(on_box, own, 0.0).amax(0) if n_rows else support
    other_probability, other_class = support, class_id
    if n_rows:
        probability, other = other_classes(probabilities, class_id)
        other_probability, anchor = torch.where(on_box, probability, 0.0).max(0)
        other_class = other.gather(0, anchor[None])[0]
    score, classes = probabilities[objects].max(1)
    object_iou = iou[objects].amax(1) if n_rows else torch.zeros_like(score)
    return ImageSignals(
        support=_array(support),
        best_iou=_array(iou.amax(0) if n_rows else support),
        other_class=other_class.cpu().numpy(),
        other_probability=_array(other_probability),
        own_probability=_array(own_there),
        weight=_array(_weights(assignment, index, n_rows)),
        object_score=_array(score),
        object_class=classes.cpu().numpy(),
        object_iou=_array(object_iou),
        object_touch=_array(_touch(corners(predicted[objects]), corners(gt_boxes.float()))),
        object_xywh=_array(letterbox.normalised(corners(predicted[objects]))),
    )


def _array(values: torch.Tensor) -> NDArray[np.float64]:
    return values.detach().double().cpu().numpy()


def overlaps(predicted: torch.Tensor, gt_boxes: torch.Tensor) -> torch.Tensor:
    """float (A, R): IoU of A predicted and R label boxes.

    Boxes are xyxy, (…, 4). For oriented boxes, xywh and angle, (…, 5), this is the probabilistic IoU.
    """
    if gt_boxes.shape[1] == 5:
        found: torch.Tensor = batch_probiou(predicted, gt_boxes)
    else:
        found = box_iou(predicted, gt_boxes)
    return found.nan_to_num(0.0)


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """(N, 4) xyxy of boxes (N, 4) xyxy, or of oriented boxes (N, 5) without their rotation."""
    if boxes.shape[1] == 4:
        return boxes
    return torch.cat([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1)


def other_classes(probabilities: torch.Tensor, class_id: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest probability (A, R), and its class, int64, at every anchor among the classes that are not the row's.

    With one class there is no other: the probabilities are 0.
    """
    first = probabilities.topk(min(2, probabilities.shape[1]), dim=1)
    values, classes = first.values, first.indices
    if values.shape[1] == 1:
        values, classes = torch.cat([values, torch.zeros_like(values)], 1), classes.expand(-1, 2)
    is_own = classes[:, :1] == class_id
    return (
        torch.where(is_own, values[:, 1:], values[:, :1]),
        torch.where(is_own, classes[:, 1:], classes[:, :1]),
    )


def different_objects(probabilities: torch.Tensor, predicted: torch.Tensor, most: int = 300) -> torch.Tensor:
    """int64 (P,) anchors of different objects, most probable first: greedy non-maximum suppression over all classes."""
    scores = probabilities.amax(1)
    order = scores.argsort(descending=True)[: most * 10]
    order = order[scores[order] > SEEN_AT_LEAST]
    iou = overlaps(predicted[order], predicted[order]) if len(order) else scores.new_zeros(0, 0)
    near = (iou > SAME_OBJECT_IOU).cpu().numpy()
    alive = np.ones(len(order), np.bool_)
    kept: list[int] = []
    for i in range(len(order)):
        if alive[i]:
            kept.append(i)
            alive &= ~near[i]
        if len(kept) == most:
            break
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]


def _touch(objects: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """float (P,): for each object, the largest share of the smaller box of object and row in the larger one."""
    if not len(rows):
        return objects.new_zeros(len(objects))
    inter, object_area, row_area = intersections(objects, rows)
    return (inter / torch.minimum(object_area[:, None], row_area).clamp_min(1e-9)).amax(1)


def intersections(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Areas of the intersections (N, M) of upright boxes, and the boxes' own areas (N,) and (M,), square pixels."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clamp_min(0).prod(2)
    return inter, (a[:, 2:] - a[:, :2]).clamp_min(0).prod(1), (b[:, 2:] - b[:, :2]).clamp_min(0).prod(1)


def _weights(assignment: Assignment, index: int, n_rows: int) -> torch.Tensor:
    """float (R,): label weight of each row of one image."""
    foreground = assignment.foreground[index]
    targets = assignment.target_scores[index].sum(1).float()
    weights = torch.zeros(max(n_rows, 1), device=targets.device)
    weights.scatter_add_(0, assignment.target[index][foreground], targets[foreground])
    return weights[:n_rows]
