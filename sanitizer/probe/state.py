"""What a probe keeps of a run on disk, so that one that was cut off can go on: weights and measured images."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sanitizer.atomic import open_atomically, write_atomically
from sanitizer.probe.clipped_step import StepRecord
from sanitizer.probe.measure import Measured
from sanitizer.probe.signals import ImageSignals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from sanitizer.probe.samples import Sample

_INTEGERS = frozenset(("other_class", "object_class"))


class State:
    """The state of a run in a folder; without a folder nothing is kept.

    A state belongs to the very labels and images it was measured on: where any of them changed, it is not taken up.
    """

    def __init__(self, folder: str | None, key: str, resume: bool) -> None:
        self._folder, self._resume = folder, resume
        if folder is None:
            return
        os.makedirs(folder, exist_ok=True)
        self._key_file, self._weights, self._steps, self._lines = (
            os.path.join(folder, name) for name in ("state.key", "state.pt", "state.steps", "state.jsonl")
        )
        try:
            with open(self._key_file, encoding="ascii") as file:
                same = file.read() == key
        except (OSError, UnicodeDecodeError):
            same = False
        self._resume = resume and same
        if not self._resume:
            for path in (self._weights, self._steps, self._lines):
                if os.path.lexists(path):
                    os.unlink(path)
            write_atomically(self._key_file, key.encode("ascii"))

    @classmethod
    def open(cls, folder: str | None, resume: bool, samples: Sequence[Sample], model: str) -> State:
        """The state in that folder, if it is of these samples and this model, else a new one."""
        digest = blake2b(model.encode("utf-8", "surrogateescape"), digest_size=16)
        for s in samples:
            digest.update(os.fsencode(s.image))
            for array in (s.class_id, s.xywh, *s.segments, *([] if s.keypoints is None else [s.keypoints])):
                digest.update(np.ascontiguousarray(array).tobytes())
        return cls(folder, digest.hexdigest(), resume)

    def save_warm_up(self, network: nn.Module, steps: Sequence[StepRecord]) -> None:
        """Keep the steps of the warm-up and the weights after it."""
        if self._folder is not None:
            content = "".join(json.dumps(asdict(step)) + "\n" for step in steps)
            write_atomically(self._steps, content.encode("utf-8"))
            with open_atomically(self._weights) as file:
                torch.save(network.state_dict(), file)

    def load_weights(self, network: nn.Module) -> bool:
        """Put the kept weights into the network; False where there are none."""
        files = () if self._folder is None or not self._resume else (self._weights, self._steps)
        if not files or not all(map(os.path.isfile, files)):
            return False
        network.load_state_dict(torch.load(self._weights, map_location="cpu", weights_only=True))
        return True

    def steps(self) -> list[StepRecord]:
        """The steps of the warm-up that `load_weights` took up."""
        with open(self._steps, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        return [StepRecord(**record | {"images": tuple(record["images"])}) for record in records]

    def keep(self, part: Sequence[Measured]) -> None:
        """Add measured images."""
        if self._folder is not None:
            with open(self._lines, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(_plain(m)) + "\n" for m in part)

    def measured(self) -> dict[int, Measured]:
        """Sample number to what was measured earlier. A line that was cut off is left out."""
        if self._folder is None or not self._resume or not os.path.isfile(self._lines):
            return {}
        found = {}
        with open(self._lines, encoding="utf-8") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                found[record["index"]] = _measured(record)
        return found


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
