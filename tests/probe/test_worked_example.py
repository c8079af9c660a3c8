"""The numbers of the worked example in `per_image` and `attribution`: two images of two pixels, one convolution."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.probe.gradients import attribution, per_image  # noqa: E402
from sanitizer.probe.gradients.attribution import BatchAttribution, attribute  # noqa: E402
from sanitizer.probe.gradients.per_image import PerImageGradients  # noqa: E402

pytestmark = pytest.mark.probe

IMAGES = torch.tensor([[1.0, 2.0], [3.0, 0.0]]).reshape(2, 1, 1, 2)
TARGETS = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
ON_ROW = torch.tensor([[False, True], [True, False]])


class Pixels(torch.nn.Module):
    """y = w·x + v at each pixel, with w = 1 and v = 0; each pixel is an anchor with one class score."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 1)
        self.conv.weight.data.fill_(1.0)
        self.conv.bias.data.fill_(0.0)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.conv(images).flatten(2)}


class Assigner(torch.nn.Module):
    """Gives one pixel of each image to the image's only label row."""

    def forward(self, scores: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        row = torch.zeros(2, 2, dtype=torch.long)
        return row, torch.zeros(2, 2, 4), torch.zeros(2, 2, 1), ON_ROW, row


class HalfSquaredError:
    """½ Σ (y - target)²."""

    def __init__(self) -> None:
        self.assigner = Assigner()

    def __call__(self, preds: dict[str, torch.Tensor], _batch: Any) -> tuple[torch.Tensor, dict[str, float]]:
        boxes, anchors, labels = torch.zeros(2, 1, 4), torch.zeros(2, 2), torch.zeros(2, 1, 1)
        self.assigner(preds["scores"], boxes, anchors, labels, boxes)
        return 0.5 * ((preds["scores"][:, 0] - TARGETS) ** 2).sum(), {}


def attributed() -> BatchAttribution:
    return attribute(Pixels(), HalfSquaredError(), {"img": IMAGES})


def gradient_of(images: torch.Tensor, targets: torch.Tensor) -> list[float]:
    """[by w, by v], as autograd computes it for a batch."""
    model = Pixels()
    loss = 0.5 * ((model(images)["scores"][:, 0] - targets) ** 2).sum()
    return [float(g) for g in torch.autograd.grad(loss, (model.conv.weight, model.conv.bias))]


def test_the_gradients_of_the_images_add_up_to_that_of_the_batch() -> None:
    assert gradient_of(IMAGES[:1], TARGETS[:1]) == [5, 3]
    assert gradient_of(IMAGES[1:], TARGETS[1:]) == [9, 2]
    assert gradient_of(IMAGES, TARGETS) == [14, 5]


def test_one_backward_pass_gives_the_numbers_of_all_images() -> None:
    model = Pixels()
    with PerImageGradients(model) as gradients:
        scores = gradients.forward(model, IMAGES)["scores"]
        gradients.backward([scores], [scores.detach() - TARGETS[:, None]])
    assert {name: total.item() for name, total in gradients.total.items()} == {
        "conv.weight": 14,
        "conv.bias": 5,
    }
    assert gradients.squared_norm == 221
    assert gradients.image_squared.tolist() == [34, 85]
    assert gradients.image_dot.tolist() == [85, 136]


def test_one_forward_mode_pass_divides_an_image_among_its_row_and_its_background() -> None:
    found = attributed()
    assert found.grad_norm**2 == pytest.approx(221)
    assert (found.anchor_share[""] * 221).flatten().tolist() == pytest.approx([19, 66, 141, -5])
    assert (found.row_share * 221).flatten().tolist() == pytest.approx([66, 141])
    assert (found.background_share * 221).flatten().tolist() == pytest.approx([19, -5])
    assert (found.image_share * 221).flatten().tolist() == pytest.approx([85, 136])


def test_the_docstrings_print_these_numbers() -> None:
    found = attributed()
    images, rows, background = (
        [f"= {share:.3f}" for share in shares.flatten().tolist()]
        for shares in (found.image_share, found.row_share, found.background_share)
    )
    assert all(text in str(per_image.__doc__) for text in images)
    assert all(text in str(attribution.__doc__) for text in [*images, *rows, *background])
