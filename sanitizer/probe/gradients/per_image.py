"""Weight gradients of every image of a batch, layer by layer, in one backward pass.

A layer's weight gradient is a sum over images, and the parts cost what the sum costs: the outer product of the
layer's input and the gradient at its output (Goodfellow 2015, arXiv:1510.01799, for linear layers; here convolutions).
Only norms and dot products are kept, so memory grows by one layer's parts, not by a gradient an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sanitizer.probe.gradients.folding import FoldedConv2d

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Parts = Callable[[nn.Module, torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]


class PerImageGradients:
    """Collects per-image gradients of a model that runs forward and backward inside the `with` block.

    Attributes (after `backward`):
        total: Parameter name to the batch gradient.
        squared_norm: |g|² over all of `total`.
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
        # Weights need no gradient of their own: their parts are computed here, and the graph keeps no inputs twice.
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
        if not output.requires_grad:  # nothing before it does: the graph begins here
            output.requires_grad_(True)
        self._calls[id(layer)] = self._calls.get(id(layer), 0) + 1
        x = inputs[0].detach()
        output.register_hook(lambda gradient: self._at_gradient(layer, x, gradient))  # type: ignore[no-untyped-call]

    def forward(self, model: nn.Module, images: torch.Tensor) -> Any:
        """The model's outputs. Layers that the loss runs afterwards (the flow of a pose head) are not listened to."""
        outputs = model(images)
        for handle in self._handles:
            handle.remove()
        return outputs

    def _at_gradient(self, layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> None:
        if not self._collecting:
            return
        with torch.no_grad():
            parts = _PARTS[type(layer)](layer, x, gradient)
            pending = self._pending.setdefault(id(layer), {})
            for name, part in parts.items():
                pending[name] = pending[name] + part if name in pending else part
            self._calls[id(layer)] -= 1
            if self._calls[id(layer)] == 0:  # a layer that is used twice has two parts of one gradient
                parts = self._pending.pop(id(layer))
                if isinstance(layer, FoldedConv2d):
                    parts = layer.unfolded(parts["weight"], parts["bias"])
                else:
                    parts = {self._names[id(getattr(layer, name))]: part for name, part in parts.items()}
                for name, part in parts.items():
                    self._count(name, part)

    def _count(self, name: str, parts: torch.Tensor) -> None:
        """Take in one parameter's per-image gradients (B, …)."""
        flat = parts.flatten(1)
        total = flat.sum(0)
        self.total[name] = total.view(parts.shape[1:])
        self._sums.append(((flat * flat).sum(1).double(), (flat @ total).double()))

    def backward(self, outputs: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
        """Run backward from the outputs; parameters of layers of other kinds are differentiated image by image."""
        used = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad]
        if self._others:
            self._differentiate_others(used)
        torch.autograd.backward([o for o, _ in used], [g for _, g in used])
        squares, dots = zip(*self._sums, strict=True)
        self.image_squared = torch.stack(squares).sum(0)
        self.image_dot = torch.stack(dots).sum(0)
        self.squared_norm = float(sum((t.double() ** 2).sum() for t in self.total.values()))

    def _differentiate_others(self, used: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Parameters that no rule below covers: one backward pass an image, without the layers' hooks."""
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
    """Modules whose own parameters `_PARTS` can take apart; frozen BatchNorm alone, as a live one mixes images."""
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if type(module) not in _PARTS or not any(id(p) in names for p in own):
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

    if layer.groups > 1:  # depthwise: images are more groups
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


_PARTS: dict[type[nn.Module], Parts] = {
    nn.Conv2d: _conv2d,
    FoldedConv2d: _conv2d,
    nn.ConvTranspose2d: _conv_transpose2d,
    nn.BatchNorm2d: _batchnorm,
    nn.Linear: _linear,
}
