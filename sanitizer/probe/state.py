"""What a probe keeps of a run on disk, so that one that was cut off can go on: weights and measured images."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from dataclasses import asdict, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.probe.gradients.measure import Measured
from sanitizer.probe.gradients.signals import ImageSignals
from sanitizer.train.clipped_step import StepRecord
from sanitizer.util.atomic import open_atomically, write_atomically
from sanitizer.util.bounded_read import KIB, MIB, open_regular, read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from sanitizer.ultra.samples import Sample

_INTEGERS = frozenset(("other_class", "object_class"))


class State:
    """The state of a run in a folder; without a folder nothing is kept.

    A state belongs to the very labels and images it was measured on: where any of them changed, it is not taken up.
    The folder may have come with a dataset: only regular files in it are read, no link is followed, and a state that
    is not sound is begun anew.

    Args:
        folder: Where it lies; made where it is not there.
        key: Says what it was measured on.
        resume: Take up what is there.
        n_samples: Number of images that may have been measured.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: str | None, key: str, resume: bool, n_samples: int) -> None:
        self._folder, self._resume, self._n_samples = folder, resume, n_samples
        self._taken_up: list[StepRecord] = []
        if folder is None:
            return
        os.makedirs(folder, exist_ok=True)
        self._key_file, self._weights, self._steps, self._lines = self._files = [
            os.path.join(folder, name) for name in ("state.key", "state.pt", "state.steps", "state.jsonl")
        ]
        try:
            same = read_bounded(self._key_file, KIB, follow_links=False) == key.encode("ascii")
        except OSError:
            same = False
        self._resume = resume and same and all(map(_may_be_ours, self._files))
        if not self._resume:
            self._begin_anew()
            write_atomically(self._key_file, key.encode("ascii"))

    @classmethod
    def open(cls, folder: str | None, resume: bool, samples: Sequence[Sample], model: str) -> State:
        """The state in that folder, if it is of these samples and this model, else a new one."""
        digest = blake2b(model.encode("utf-8", "surrogateescape"), digest_size=16)
        for s in samples:
            digest.update(os.fsencode(s.image))
            for array in (s.class_id, s.xywh, *s.segments, *([] if s.keypoints is None else [s.keypoints])):
                digest.update(np.ascontiguousarray(array).tobytes())
        return cls(folder, digest.hexdigest(), resume, len(samples))

    def _begin_anew(self) -> None:
        for path in self._files:
            if os.path.lexists(path):
                os.unlink(path)

    def save_warm_up(self, network: nn.Module, steps: Sequence[StepRecord]) -> None:
        """Keep the steps of the warm-up and the weights after it."""
        if self._folder is not None:
            content = "".join(json.dumps(asdict(step)) + "\n" for step in steps)
            write_atomically(self._steps, content.encode("utf-8"))
            with open_atomically(self._weights) as file:
                torch.save(network.state_dict(), file)

    def load_weights(self, network: nn.Module) -> bool:
        """Put the kept weights into the network; False where there are none that fit, and the state begins anew."""
        if self._folder is None or not self._resume:
            return False
        try:
            content = read_bounded(self._steps, _MOST_OF_STEPS, follow_links=False)
            self._taken_up = [_step(line) for line in content.splitlines()]
            weights = self._read_weights(network)
            network.load_state_dict(weights)
        except Exception:  # torch.load raises whatever a damaged file makes it
            self._taken_up, self._resume = [], False
            for path in (self._weights, self._steps, self._lines):
                if os.path.lexists(path):
                    os.unlink(path)
            return False
        return True

    def _read_weights(self, network: nn.Module) -> dict[str, Any]:
        own = network.state_dict()
        limit = 2 * sum(tensor.numel() * tensor.element_size() for tensor in own.values()) + 16 * MIB
        content = read_bounded(self._weights, limit, follow_links=False)
        weights: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        for name, tensor in own.items():
            if weights[name].shape != tensor.shape:
                raise ValueError(name)
        return weights

    def steps(self) -> list[StepRecord]:
        """The steps of the warm-up that `load_weights` took up."""
        return self._taken_up

    def keep(self, part: Sequence[Measured]) -> None:
        """Add measured images."""
        if self._folder is not None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(self._lines, flags, 0o666), "a", encoding="utf-8") as file:
                file.writelines(json.dumps(_plain(m)) + "\n" for m in part)

    def measured(self) -> dict[int, Measured]:
        """Sample number to what was measured earlier. A line that was cut off or makes no sense is left out."""
        if self._folder is None or not self._resume:
            return {}
        found = {}
        with contextlib.suppress(OSError):
            for line in self._measured_lines():
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    one = _measured(json.loads(line))
                    if type(one.index) is int and 0 <= one.index < self._n_samples:
                        found[one.index] = one
        return found

    def _measured_lines(self) -> Iterator[bytes]:
        """The lines of the measured images, as far as they are no longer than any of ours."""
        with open_regular(self._lines, follow_links=False) as file:
            while (line := file.readline(_LONGEST_LINE)) and line.endswith(b"\n"):
                yield line


_LONGEST_LINE = 64 * MIB
_MOST_OF_STEPS = 256 * MIB


def _may_be_ours(path: str) -> bool:
    """Nothing is there, or a regular file."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _step(line: bytes) -> StepRecord:
    record = json.loads(line)
    return StepRecord(**record | {"images": tuple(record["images"])})


def _plain(m: Measured) -> dict[str, Any]:
    record = asdict(m)
    record["row_share"] = m.row_share.tolist()
    if m.signals is not None:
        record["signals"] = {f.name: getattr(m.signals, f.name).tolist() for f in fields(ImageSignals)}
    return record


def _measured(record: dict[str, Any]) -> Measured:
    signals = record["signals"]
    if signals is not None:
        arrays: dict[str, Any] = {
            name: np.array(values, np.int64 if name in _INTEGERS else np.float64)
            for name, values in signals.items()
        }
        arrays["object_xywh"] = arrays["object_xywh"].reshape(-1, 4)
        record["signals"] = ImageSignals(**arrays)
    record["row_share"] = np.array(record["row_share"], np.float64)
    record["place"] = tuple(record["place"]) if record["place"] else None
    return Measured(**record)
