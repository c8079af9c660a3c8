"""Exchange of values between the processes that train one model on several GPUs. Every process must make each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Sequence


def several_ranks() -> bool:
    """Whether this is one of several processes that train one model."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any process."""
    if not several_ranks():
        return flag
    flags = torch.tensor([flag], dtype=torch.int32, device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags.item())


def from_rank_0(value: Any) -> Any:
    """The value of the process with rank 0, on every process; `value` is ignored on the others."""
    if not several_ranks():
        return value
    values = [value]
    dist.broadcast_object_list(values, 0)
    return values[0]


def of_each_rank(texts: Sequence[str]) -> list[Sequence[str]]:
    """The texts of each process, in order of rank."""
    if not several_ranks():
        return [texts]
    gathered: list[Sequence[str]] = [()] * dist.get_world_size()
    dist.all_gather_object(gathered, texts)
    return gathered
