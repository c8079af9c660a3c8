"""The devices of this machine that a probe runs on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class DeviceError(ValueError):
    """There is no such device; the text is a sentence."""


def pick_devices(text: str) -> list[torch.device]:
    """The devices that "auto", "cpu", "0" or "0,1" means: "auto" is the first GPU, or the CPU if there is no GPU.

    Raises:
        DeviceError: There is no such device.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text == "cpu" or (text == "auto" and not available):
        return [torch.device("cpu")]
    numbers = ["0"] if text == "auto" else text.removeprefix("cuda:").split(",")
    for number in numbers:
        if not number.strip().isdigit() or int(number) >= available:
            raise DeviceError(
                f"there is no device {text!r}: {available} GPU(s) can be used; use auto, cpu, 0 or 0,1"
            )
    return [torch.device("cuda", int(number)) for number in numbers]


def replicas(
    network: torch.nn.Module, devices: Sequence[torch.device]
) -> Iterator[tuple[torch.nn.Module, torch.device]]:
    """(network, device): the network itself on the first device, copies of it on the others."""
    for number, device in enumerate(devices):
        yield (network if number == 0 else copy.deepcopy(network)).to(device), device
