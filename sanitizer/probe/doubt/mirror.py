"""Averages the predictions for an image and for its mirror image: half of a prediction's noise is gone."""

from __future__ import annotations

from itertools import pairwise

import torch


def mirror_average(
    probabilities: torch.Tensor,
    boxes: torch.Tensor,
    mirrored_probabilities: torch.Tensor,
    mirrored_boxes: torch.Tensor,
    anchors: torch.Tensor,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of two predictions at every anchor.

    Args:
        probabilities, boxes: float (B, A, nc), and (B, A, 4) xyxy or (B, A, 5) xywh and angle, input pixels.
        mirrored_probabilities, mirrored_boxes: The same of the images after `flip(3)`.
        anchors: float (A, 2) anchor centres, input pixels: level by level, in each row by row.
        width: Of the input, pixels.

    Returns:
        Probabilities (B, A, nc) and boxes (B, A, 4 or 5). Of oriented boxes only the centre is
        averaged; sides and angle are those of the plain image, as one box has several of these.
    """
    other = _mirrored_anchor(anchors)
    back = mirrored_boxes[:, other]
    mean = (probabilities + mirrored_probabilities[:, other]) / 2
    if boxes.shape[2] == 4:
        back = torch.stack([width - back[..., 2], back[..., 1], width - back[..., 0], back[..., 3]], -1)
        return mean, (boxes + back) / 2
    centre = torch.stack([width - back[..., 0], back[..., 1]], -1)
    return mean, torch.cat([(boxes[..., :2] + centre) / 2, boxes[..., 2:]], -1)


def _mirrored_anchor(anchors: torch.Tensor) -> torch.Tensor:
    """int64 (A,): for each anchor, the number of the anchor of the same level at the mirrored place."""
    numbers = torch.arange(len(anchors), device=anchors.device)
    y = anchors[:, 1]
    # A new level begins where y becomes smaller.
    starts = [0, *((y[1:] < y[:-1]).nonzero()[:, 0] + 1).tolist(), len(anchors)]
    parts = []
    for start, stop in pairwise(starts):
        columns = int((y[start:stop] == y[start]).sum())
        parts.append(numbers[start:stop].reshape(-1, columns).flip(1).reshape(-1))
    return torch.cat(parts)
