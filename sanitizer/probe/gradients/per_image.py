"""Weight gradients of every image of a batch, layer by layer, in one backward pass.

A layer's weight gradient is a sum over images. Each image's part is the product of the layer's input and the gradient
at the layer's output, so all parts together cost as much as their sum (Goodfellow 2015, arXiv:1510.01799, for linear
layers; here also for convolutions). Only norms and dot products of the parts are kept. So the extra memory is that of
one layer's parts, and not of a whole gradient for each image.

A worked example: two images of two pixels each, and one 1×1 convolution y = w·x + v with w = 1, v = 0. The loss is
½ Σ (y - target)² over all pixels.

                                      image 1          image 2
    pixels x                          (1, 2)           (3, 0)
    outputs y                         (1, 2)           (3, 0)
    targets                           (0, 0)           (0, 1)
    d = y - target                    (1, 2)           (3, -1)        gradient at the layer's output

    part of the gradient by w: Σ d·x  1·1 + 2·2 = 5    3·3 - 1·0 = 9
    part of the gradient by v: Σ d    1 + 2 = 3        3 - 1 = 2
    g_i                               (5, 3)           (9, 2)
    |g_i|²                            25 + 9 = 34      81 + 4 = 85    `image_squared`

The batch gradient is the sum of the parts: g = (5, 3) + (9, 2) = (14, 5), and |g|² = 196 + 25 = 221.

    <g_i, g>                          70 + 15 = 85     126 + 10 = 136 `image_dot`
    share <g_i, g> / |g|²             85/221 = 0.385   136/221 = 0.615

The dot products add up to 85 + 136 = 221 = |g|², so the shares add up to 1. `attribution` continues this example with
the shares of the single pixels. `tests/probe/test_worked_example.py` computes all these numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sanitizer.probe.gradients.folding import FoldedConv2d

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    ImageParts = Callable[[nn.Module, torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]
    """(layer, its input (B, …), gradient at its output (B, …)) to: parameter to each image's gradient (B, …)."""


class PerImageGradients:
    """Collects per-image gradients of a model that runs forward and backward inside the `with` block.

    Attributes (after `backward`):
        total: Parameter name to the batch gradient g, in the parameter's shape.
        squared_norm: |g|² over all parameters in `total`.
        image_squared: float64 (B,) |g_i|².
        image_dot: float64 (B,) <g_i, g>.
    """

    def __init__(self, model: nn.Module) -> None:
        self.total: dict[str, torch.Tensor] = {}
        self._names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        self._layers = list(_layers(model, self._names))
        covered = {id(p) for layer in self._layers for p in layer.parameters(recurse=False)}
        self._others = [p for p in model.parameters() if p.requires_grad and id(p) not in covered]
        self._frozen = [
            p for layer in self._layers for p in layer.parameters(recurse=False) if p.requires_grad
        ]
        self._calls: dict[int, int] = {}
        self._pending: dict[int, dict[str, torch.Tensor]] = {}
        self._handles: list[Any] = []
        self._sums: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._collecting = True

    def __enter__(self) -> PerImageGradients:
        # The hooks compute the gradients of these weights. Without `requires_grad`, autograd stores no inputs for them.
        for p in self._frozen:
            p.requires_grad_(False)
        self._handles = [layer.register_forward_hook(self._after_forward) for layer in self._layers]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        for p in self._frozen:
            p.requires_grad_(True)

    def _after_forward(
        self, layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        if (
            not output.requires_grad
        ):  # nothing before this layer needs a gradient: autograd's graph begins here
            output.requires_grad_(True)
        self._calls[id(layer)] = self._calls.get(id(layer), 0) + 1
        x = inputs[0].detach()
        output.register_hook(lambda gradient: self._at_gradient(layer, x, gradient))  # type: ignore[no-untyped-call]

    def forward(self, model: nn.Module, images: torch.Tensor) -> Any:
        """The model's outputs. Layers that run later, in the loss (the flow of a pose head), get no hooks."""
        outputs = model(images)
        for handle in self._handles:
            handle.remove()
        return outputs

    def _at_gradient(self, layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> None:
        if not self._collecting:
            return
        with torch.no_grad():
            parts = _IMAGE_PARTS[type(layer)](layer, x, gradient)
            pending = self._pending.setdefault(id(layer), {})
            for name, part in parts.items():
                pending[name] = pending[name] + part if name in pending else part
            self._calls[id(layer)] -= 1
            if (
                self._calls[id(layer)] == 0
            ):  # the gradient of a layer that is used twice is a sum over both uses
                parts = self._pending.pop(id(layer))
                if isinstance(layer, FoldedConv2d):
                    parts = layer.unfolded(parts["weight"], parts["bias"])
                else:
                    parts = {self._names[id(getattr(layer, name))]: part for name, part in parts.items()}
                for name, part in parts.items():
                    self._count(name, part)

    def _count(self, name: str, parts: torch.Tensor) -> None:
        """Add one parameter's per-image gradients (B, …) to `total` and to the norms and dot products."""
        flat = parts.flatten(1)
        total = flat.sum(0)
        self.total[name] = total.view(parts.shape[1:])
        self._sums.append(((flat * flat).sum(1).double(), (flat @ total).double()))

    def backward(self, outputs: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
        """Run one backward pass, and set the attributes.

        Args:
            outputs: Outputs of the model, (B, …) each.
            gradients: Gradient of the loss at each output, in the output's shape.
        """
        used = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad]
        if self._others:
            self._differentiate_others(used)
        torch.autograd.backward([o for o, _ in used], [g for _, g in used])
        squares, dots = zip(*self._sums, strict=True)
        self.image_squared = torch.stack(squares).sum(0)
        self.image_dot = torch.stack(dots).sum(0)
        self.squared_norm = float(sum((t.double() ** 2).sum() for t in self.total.values()))

    def _differentiate_others(self, used: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """For parameters of layers that are not in `_IMAGE_PARTS`: one backward pass per image, without the hooks."""
        self._collecting = False
        per_image: list[list[torch.Tensor]] = []
        for i in range(len(used[0][0])):
            found = torch.autograd.grad(
                [o[i] for o, _ in used],
                self._others,
                [g[i] for _, g in used],
                retain_graph=True,
                allow_unused=True,
            )
            per_image.append(
                [torch.zeros_like(p) if g is None else g for p, g in zip(self._others, found, strict=True)]
            )
        self._collecting = True
        for p, parts in zip(self._others, zip(*per_image, strict=True), strict=True):
            self._count(self._names[id(p)], torch.stack(parts))


def _layers(model: nn.Module, names: dict[int, str]) -> Iterator[nn.Module]:
    """Modules that have trainable parameters and are in `_IMAGE_PARTS`.

    Raises:
        ValueError: A BatchNorm is not frozen: it mixes images, so the gradient is no sum over images.
    """
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if type(module) not in _IMAGE_PARTS or not any(id(p) in names for p in own):
            continue
        if isinstance(module, nn.BatchNorm2d) and module.training:
            raise ValueError("BatchNorm is not frozen: call freeze_batchnorm(model) first")
        if all(id(p) in names for p in own):
            yield module


def _conv2d(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    assert isinstance(layer, nn.Conv2d)
    parts = {"weight": _conv2d_weight(layer, x, gradient)}
    if layer.bias is not None:
        parts["bias"] = gradient.flatten(2).sum(2)
    return parts


def _conv2d_weight(layer: nn.Conv2d, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """(B, out, in / groups, k, k): each image's weight gradient."""
    pointwise = layer.kernel_size == (1, 1) and layer.stride == (1, 1) and layer.groups == 1
    if pointwise and layer.padding == (0, 0):
        return torch.bmm(gradient.flatten(2), x.flatten(2).transpose(1, 2))[..., None, None]
    pad = layer.padding if isinstance(layer.padding, tuple) else (0, 0)
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise NotImplementedError(f"convolution with padding {layer.padding!r}, {layer.padding_mode}")

    def weight_gradient(
        go: torch.Tensor, xs: torch.Tensor, weight: torch.Tensor, groups: int
    ) -> torch.Tensor:
        found: torch.Tensor = torch.ops.aten.convolution_backward(
            go,
            xs,
            weight,
            None,
            layer.stride,
            pad,
            layer.dilation,
            False,
            [0, 0],
            groups,
            [False, True, False],
        )[1]
        return found

    if layer.groups > 1:  # depthwise: treat the images as further groups of one convolution
        go, xs = (t.reshape(1, -1, *t.shape[2:]) for t in (gradient, x))
        weight = layer.weight.repeat(len(x), 1, 1, 1)
        return weight_gradient(go, xs, weight, layer.groups * len(x)).view(len(x), *layer.weight.shape)
    return torch.stack(
        [weight_gradient(gradient[i : i + 1], x[i : i + 1], layer.weight, 1) for i in range(len(x))]
    )


def _conv_transpose2d(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    assert isinstance(layer, nn.ConvTranspose2d)
    parts = {
        "weight": torch.stack(
            [
                torch.ops.aten.convolution_backward(
                    gradient[i : i + 1], x[i : i + 1], layer.weight, None, layer.stride, layer.padding,
                    layer.dilation, True, layer.output_padding, layer.groups, [False, True, False],
                )[1]
                for i in range(len(x))
            ]
        )
    }  # fmt: skip
    if layer.bias is not None:
        parts["bias"] = gradient.flatten(2).sum(2)
    return parts


def _batchnorm(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None and layer.running_var is not None
    scale = torch.rsqrt(layer.running_var + layer.eps)
    bias = gradient.flatten(2).sum(2)
    weighted = (gradient * x).flatten(2).sum(2)
    return {"weight": (weighted - bias * layer.running_mean) * scale, "bias": bias}


def _linear(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    assert isinstance(layer, nn.Linear)
    x, gradient = (t.reshape(len(t), -1, t.shape[-1]) for t in (x, gradient))
    parts = {"weight": torch.bmm(gradient.transpose(1, 2), x)}
    if layer.bias is not None:
        parts["bias"] = gradient.sum(1)
    return parts


_IMAGE_PARTS: dict[type[nn.Module], ImageParts] = {
    nn.Conv2d: _conv2d,
    FoldedConv2d: _conv2d,
    nn.ConvTranspose2d: _conv_transpose2d,
    nn.BatchNorm2d: _batchnorm,
    nn.Linear: _linear,
}
