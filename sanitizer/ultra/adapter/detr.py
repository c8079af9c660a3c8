"""RT-DETR seen as a YOLO model: its queries stand for anchors, and the Hungarian matching for the assigner.

The outputs have two branches: "last" is the decoder's last layer, whose boxes are the model's predictions, and
"earlier" are all layers before, the encoder's own boxes first. Denoising is left out: it repeats the labels with random
changes, and so says nothing of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sanitizer.ultra.adapter.heads import keep_maps, kept_maps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Matches = Sequence[tuple[torch.Tensor, torch.Tensor]]
    """Of each image: int64 (M,) numbers of queries, int64 (M,) numbers of label boxes among those of the batch."""


def name_detr_outputs(head: nn.Module) -> None:
    """Let a decoder return its outputs by name: boxes (B, 4, Q), normalised xywh, and scores (B, nc, Q)."""
    head.register_forward_pre_hook(keep_maps)
    head.register_forward_hook(_to_names)


def _to_names(head: Any, _inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> dict[str, Any]:
    decoded_boxes, decoded_scores, encoded_boxes, encoded_scores = outputs[:4]
    boxes = torch.cat([encoded_boxes[None], decoded_boxes])  # (layers, B, Q, 4)
    scores = torch.cat([encoded_scores[None], decoded_scores])
    return {
        "last": {"boxes": _joined(boxes[-1:]), "scores": _joined(scores[-1:]), "feats": kept_maps(head)},
        "earlier": {"boxes": _joined(boxes[:-1]), "scores": _joined(scores[:-1])},
    }


def _joined(layers: torch.Tensor) -> torch.Tensor:
    """(B, C, layers × Q) of (layers, B, Q, C)."""
    return layers.permute(1, 3, 0, 2).flatten(2)


def _layered(joined: torch.Tensor, n_queries: int) -> torch.Tensor:
    """(layers, B, Q, C) of (B, C, layers × Q)."""
    return joined.reshape(*joined.shape[:2], -1, n_queries).permute(2, 0, 3, 1)


class DetrLoss:
    """The loss of RT-DETR, called with the outputs by name; times the batch size, as those of YOLO models are.

    Attributes:
        last, earlier: For each branch, an object whose `assigner` is called with the matching as YOLO's is.

    Args:
        criterion: From `model.init_criterion()`.
    """

    def __init__(self, criterion: Any) -> None:
        self._criterion = criterion
        self._matches: list[Matches] = []
        criterion.matcher.register_forward_hook(lambda _module, _inputs, found: self._matches.append(found))
        self.last, self.earlier = _Branch(), _Branch()

    def __call__(
        self, preds: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> tuple[Any, dict[str, torch.Tensor]]:
        """(the loss, name of each loss part of the last layer to the part)."""
        n_queries = preds["last"]["boxes"].shape[2]
        boxes, scores = (
            torch.cat([_layered(preds[branch][key], n_queries) for branch in ("earlier", "last")])
            for key in ("boxes", "scores")
        )
        n_images = boxes.shape[1]
        targets = _targets(batch, n_images)
        self._matches.clear()
        parts = self._criterion((boxes, scores), targets)
        last, *earlier = self._matches
        self.last.tell(boxes[-1:], [last], scores, batch, targets)
        self.earlier.tell(boxes[:-1], earlier, scores, batch, targets)
        names = {"giou_loss": "loss_giou", "cls_loss": "loss_class", "l1_loss": "loss_bbox"}
        items = {name: parts[key].detach() for name, key in names.items()}
        return sum(parts.values()) * n_images, items


def _targets(batch: Mapping[str, Any], n_images: int) -> dict[str, Any]:
    """Source: `RTDETRDetectionModel.loss` in ultralytics/nn/tasks.py, version 8.4."""
    index = batch["batch_idx"].long().view(-1)
    return {
        "cls": batch["cls"].long().view(-1),
        "bboxes": batch["bboxes"],
        "batch_idx": index,
        "gt_groups": torch.bincount(index, minlength=n_images).tolist(),
    }


class _Branch:
    def __init__(self) -> None:
        self.assigner = _Matching()

    def tell(
        self,
        boxes: torch.Tensor,
        matches: Sequence[Matches],
        scores: torch.Tensor,
        batch: Mapping[str, Any],
        targets: Mapping[str, Any],
    ) -> None:
        """Call the assigner with the boxes of this branch's layers, as xyxy in input pixels."""
        height, width = batch["img"].shape[2:]
        size = boxes.new_tensor([width, height, width, height])
        predicted = boxes.detach().permute(1, 0, 2, 3).flatten(1, 2) * size
        rows = _by_image(targets["bboxes"] * size, targets["gt_groups"])
        classes = _by_image(targets["cls"][:, None], targets["gt_groups"])
        n_classes = scores.shape[-1]
        found = list(_numbered(matches, targets["gt_groups"], boxes.shape[2]))
        self.assigner(n_classes, _corners(predicted), predicted[..., :2], classes, _corners(rows), found)


def _by_image(rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """(B, M, …) of the rows (R, …) of all images, zero where an image has fewer than M rows."""
    return nn.utils.rnn.pad_sequence(list(torch.split(rows, list(counts))), batch_first=True)


def _numbered(
    matches: Sequence[Matches], counts: Sequence[int], n_queries: int
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """(image, numbers of its queries in all layers, numbers of their label boxes in the image)."""
    first = [sum(counts[:image]) for image in range(len(counts))]
    for layer, of_images in enumerate(matches):
        for image, (queries, rows) in enumerate(of_images):
            yield image, queries + layer * n_queries, rows - first[image]


def _corners(xywh: torch.Tensor) -> torch.Tensor:
    return torch.cat([xywh[..., :2] - xywh[..., 2:] / 2, xywh[..., :2] + xywh[..., 2:] / 2], -1)


class _Matching(nn.Module):
    """Returns the matching in the form of YOLO's assigner; every label box has the weight 1 in each layer."""

    def forward(
        self,
        n_classes: int,
        predicted: torch.Tensor,
        _centres: torch.Tensor,
        classes: torch.Tensor,
        rows: torch.Tensor,
        found: Sequence[tuple[int, torch.Tensor, torch.Tensor]],
    ) -> tuple[None, None, torch.Tensor, torch.Tensor, torch.Tensor]:
        """(nothing, nothing, target scores (B, A, nc), foreground (B, A), numbers of label boxes (B, A))."""
        shape = predicted.shape[:2]
        foreground = torch.zeros(shape, dtype=torch.bool, device=predicted.device)
        target = torch.zeros(shape, dtype=torch.long, device=predicted.device)
        weights = torch.zeros(*shape, n_classes, device=predicted.device)
        for image, queries, numbers in found:
            foreground[image, queries] = True
            target[image, queries] = numbers.to(target.device)
            weights[image, queries, classes[image, numbers, 0]] = 1.0
        return None, None, weights, foreground, target


def sampled(
    maps: torch.Tensor,
    grid: torch.Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> torch.Tensor:
    """`torch.nn.functional.grid_sample` as RT-DETR calls it, from operations that PyTorch's forward mode knows.

    Args:
        maps: (N, C, H, W).
        grid: (N, h, w, 2) places, x and y from -1 to 1.
        mode, padding_mode, align_corners: As RT-DETR gives them: bilinear, zeros, False.
    """
    assert mode == "bilinear" and padding_mode == "zeros" and not align_corners
    height, width = maps.shape[2:]
    x = ((grid[..., 0] + 1) * width - 1) / 2
    y = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = x.detach().floor(), y.detach().floor()
    flat = maps.flatten(2)
    result = maps.new_zeros(())
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = left + dx, top + dy
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
            value = flat.gather(2, place.flatten(1)[:, None].expand(-1, flat.shape[1], -1))
            result = result + value.reshape(*value.shape[:2], *place.shape[1:]) * (weight * inside)[:, None]
    return result
