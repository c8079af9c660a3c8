"""The state of a probe on disk, weights and measured images, so that a probe that was interrupted can continue."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from dataclasses import asdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.probe.records import measured_of, plain
from sanitizer.train.clipped_step import StepRecord
from sanitizer.util.atomic import open_atomically, write_atomically
from sanitizer.util.bounded_read import KIB, MIB, open_regular, read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import nn

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.ultra.samples import Sample


def run_key(
    network: nn.Module, arguments: Mapping[str, object], spec: TaskSpec, samples: Sequence[Sample]
) -> str:
    """One line with a digest for each part of a probe's input: weights, settings, images and labels.

    Args:
        network: The network before the warm-up. Its numbers count, and not the name of its file.
        arguments: All train arguments; those that cannot change a result are left out.
        spec: Task, classes and keypoints.
        samples: The training images and their labels.
    """
    weights = (part for name, t in network.state_dict().items() for part in (name.encode(), _bytes_of(t)))
    chosen = sorted((name, repr(value)) for name, value in arguments.items() if name not in _WITHOUT_EFFECT)
    parts = {
        "weights": _digest([repr(getattr(network, "yaml", None)).encode(), *weights]),
        "settings": _digest([repr((spec.task, spec.nc, spec.kpt_shape, chosen)).encode()]),
        "images or labels": _digest(part for sample in samples for part in _parts_of(sample)),
    }
    return "".join(f"{name}: {digest}\n" for name, digest in parts.items())


_WITHOUT_EFFECT = frozenset(
    ("cache", "device", "exist_ok", "mode", "model", "name", "plots", "project", "resume", "save", "save_dir",
     "verbose", "workers")
)  # fmt: skip


def _digest(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _parts_of(sample: Sample) -> Iterator[bytes]:
    yield os.fsencode(sample.image)
    yield repr((sample.height, sample.width)).encode()
    keypoints = [] if sample.keypoints is None else [sample.keypoints]
    for array in (sample.lines, sample.class_id, sample.xywh, *sample.segments, *keypoints):
        yield np.ascontiguousarray(array).tobytes()


class ProbeState:
    """The state of a probe in a folder. Without a folder nothing is saved.

    A state is only used with the same weights, settings, images and labels that it was measured with: `key` says which
    these are. The folder may have come with somebody's dataset, so only regular files in it are read and no link is
    followed. A state that is damaged, or has another key, is deleted, and a new state begins.

    Attributes:
        notes: Sentences for the report: why the state in the folder is not used, or why no state is saved.

    Args:
        folder: The state's folder; it is made if it does not exist.
        key: The result of `run_key`.
        resume: Use the state that is in the folder.
        n_rows: Number of label rows of each sample; measurements of other images, or with other rows, are ignored.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: str | None, key: str, resume: bool, n_rows: Sequence[int]) -> None:
        self._folder, self._resume, self._n_rows = folder, resume, n_rows
        self._loaded_steps: list[StepRecord] = []
        self.notes: list[str] = []
        if folder is None:
            return
        os.makedirs(folder, exist_ok=True)
        self._key_file, self._weights, self._steps, self._lines = self._files = [
            os.path.join(folder, name) for name in ("state.key", "state.pt", "state.steps", "state.jsonl")
        ]
        in_the_way = next((path for path in self._files if _is_folder(path)), None)
        if in_the_way is not None:
            self._folder = None
            self.notes.append(f"the run cannot be resumed: {in_the_way} is a folder, so no state is kept")
            return
        self._resume = resume and self._has_key(key) and all(map(_may_be_ours, self._files))
        if not self._resume:
            self._begin_anew()
            write_atomically(self._key_file, key.encode("ascii"))

    def _has_key(self, key: str) -> bool:
        """Whether the state in the folder has this key. If it has another key, a note names the different parts."""
        try:
            kept = read_bounded(self._key_file, KIB, follow_links=False)
        except OSError:
            return False
        other = [
            line.partition(":")[0] for line in key.splitlines() if line.encode() not in kept.splitlines()
        ]
        if other:
            self.notes.append(
                f"the earlier run in {self._folder} is not taken up: it was made with other {' and '.join(other)}"
            )
        return kept == key.encode("ascii")

    def _begin_anew(self) -> None:
        for path in self._files:
            if os.path.lexists(path):
                os.unlink(path)

    def save_warm_up(self, network: nn.Module, steps: Sequence[StepRecord]) -> None:
        """Save the steps of the warm-up and the weights after it. Raises OSError."""
        if self._folder is not None:
            content = "".join(json.dumps(asdict(step)) + "\n" for step in steps)
            write_atomically(self._steps, content.encode("utf-8"))
            with open_atomically(self._weights) as file:
                torch.save(network.state_dict(), file)

    def load_weights(self, network: nn.Module) -> bool:
        """Load the saved weights into the network. False if there are none that fit; then a new state begins."""
        if self._folder is None or not self._resume:
            return False
        try:
            content = read_bounded(self._steps, _MOST_OF_STEPS, follow_links=False)
            self._loaded_steps = [_step(line) for line in content.splitlines()]
            weights = self._read_weights(network)
            network.load_state_dict(weights)
        except Exception:  # for a damaged file, torch.load raises exceptions of many types
            self._loaded_steps, self._resume = [], False
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
        """The steps of the warm-up that `load_weights` loaded."""
        return self._loaded_steps

    def keep(self, part: Sequence[Measured]) -> None:
        """Add measured images to the state on disk. Raises OSError."""
        if self._folder is not None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(self._lines, flags, 0o666), "a", encoding="utf-8") as file:
                file.writelines(json.dumps(plain(m)) + "\n" for m in part)

    def measured(self) -> dict[int, Measured]:
        """Number of each sample that was measured earlier, to its measurement. Damaged lines are left out."""
        if self._folder is None or not self._resume:
            return {}
        found = {}
        with contextlib.suppress(OSError):
            for line in self._measured_lines():
                with contextlib.suppress(
                    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
                ):
                    one = measured_of(json.loads(line), self._n_rows)
                    found[one.index] = one
        return found

    def _measured_lines(self) -> Iterator[bytes]:
        """Lines of the file of measured images, up to the first that is cut short or longer than `_LONGEST_LINE`."""
        with open_regular(self._lines, follow_links=False) as file:
            while (line := file.readline(_LONGEST_LINE)) and line.endswith(b"\n"):
                yield line


_LONGEST_LINE = 64 * MIB
_MOST_OF_STEPS = 256 * MIB


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _may_be_ours(path: str) -> bool:
    """Whether the path is free or a regular file."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _step(line: bytes) -> StepRecord:
    record = json.loads(line)
    return StepRecord(**record | {"images": tuple(record["images"])})
