"""Folds a frozen BatchNorm into the convolution before it: the same function with a third fewer operations.

y = γ (W * x - μ) / σ + β is one convolution with weight Wγ/σ and bias β - μγ/σ. The gradients by W, γ and β follow from
the gradient e by the folded weight and the gradient b by the folded bias (chain rule):
∂W = e γ/σ, ∂γ = (Σ W e - μ b) / σ, ∂β = b.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from sanitizer.ultra.library import Conv

if TYPE_CHECKING:
    from collections.abc import Mapping


class FoldedConv2d(nn.Conv2d):
    """A Conv2d and the frozen BatchNorm2d after it, as one convolution.

    Attributes:
        names: Names of W, γ and β in the original model.
        trainable: Whether W, γ and β have a gradient in the original model.
        raw: W.
        mean: μ, one number per filter.
        inverse_sigma: 1/σ, one number per filter.
        scale: γ/σ, one number per filter.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, path: str) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            conv.dilation, conv.groups, device=conv.weight.device, dtype=conv.weight.dtype,  # type: ignore[arg-type]
        )  # fmt: skip
        assert norm.running_mean is not None and norm.running_var is not None
        self.names = (f"{path}.conv.weight", f"{path}.bn.weight", f"{path}.bn.bias")
        self.trainable = tuple(p.requires_grad for p in (conv.weight, norm.weight, norm.bias))
        self.register_buffer("raw", conv.weight.detach(), persistent=False)
        self.register_buffer("mean", norm.running_mean.detach(), persistent=False)
        self.register_buffer(
            "inverse_sigma", torch.rsqrt(norm.running_var.detach() + norm.eps), persistent=False
        )
        self.register_buffer("scale", norm.weight.detach() * self.inverse_sigma, persistent=False)
        assert self.bias is not None
        self.weight.data.copy_(self.raw * _per_filter(self.scale))
        self.bias.data.copy_(norm.bias.detach() - self.mean * self.scale)

    raw: torch.Tensor
    mean: torch.Tensor
    inverse_sigma: torch.Tensor
    scale: torch.Tensor

    def unfolded(self, weight: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
        """Per-image gradients by the original parameters.

        Args:
            weight: (B, out, in / groups, k, k) per-image gradients by the folded weight.
            bias: (B, out) per-image gradients by the folded bias.

        Returns:
            Name of each trainable original parameter to its per-image gradients (B, …).
        """
        through_gamma = ((weight * self.raw).flatten(2).sum(2) - bias * self.mean) * self.inverse_sigma
        parts = (weight * _per_filter(self.scale), through_gamma, bias)
        return {
            name: part for name, part, kept in zip(self.names, parts, self.trainable, strict=True) if kept
        }

    def direction(self, direction: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(change of the folded weight, change of the folded bias) if the originals change by `direction`."""
        conv, gamma, beta = (direction.get(name) for name in self.names)
        weight, bias = torch.zeros_like(self.raw), torch.zeros_like(self.mean)
        if conv is not None:
            weight = weight + conv * _per_filter(self.scale)
        if gamma is not None:
            weight = weight + self.raw * _per_filter(gamma * self.inverse_sigma)
            bias = bias - gamma * self.inverse_sigma * self.mean
        if beta is not None:
            bias = bias + beta
        return weight, bias


def _per_filter(numbers: torch.Tensor) -> torch.Tensor:
    return numbers[:, None, None, None]


def fold(model: nn.Module) -> nn.Module:
    """A copy of a model, after `freeze_batchnorm`, in which every Ultralytics `Conv` is folded."""
    folded = copy.deepcopy(model)
    for path, module in list(folded.named_modules()):
        if type(module).forward is Conv.forward and _can_fold(module):
            module.conv = FoldedConv2d(module.conv, module.bn, path)
            module.bn = nn.Identity()
    return folded


def _can_fold(module: nn.Module) -> bool:
    conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
    return (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and conv.bias is None
        and norm.affine
        and not norm.training
        and norm.running_mean is not None
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
    )
