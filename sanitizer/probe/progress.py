"""The progress of a probe: the newest gradient norm, the image with the largest norm, the time left."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample


BETWEEN_LINES_S = 20.0
"""Seconds between two lines where stderr is no terminal."""


class Progress:
    """A progress bar on stderr, or a line now and then, if the user wants one."""

    def __init__(self, wanted: bool | Literal["lines"]) -> None:
        self._bar_wanted, self._lines_wanted = wanted is True, wanted == "lines"
        self._bar: Any = None
        self._worst = (0.0, "")
        self._what, self._total, self._done, self._said = "", 0, 0, 0.0

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """Start a bar. `total` and `done` count the steps of a warm-up or the images of a measuring pass."""
        self._what = "steps of the warm-up" if what == "warm-up" else "images measured"
        self._total, self._done = total, done
        self._said = time.monotonic()
        if self._bar_wanted:
            from tqdm import tqdm

            unit = " steps" if what == "warm-up" else " images"
            self._bar = tqdm(total=total, initial=done, unit=unit, leave=False, desc=what)

    def trained(self, step: StepRecord) -> None:
        """Advance by one optimizer step."""
        self._advance(1, f"loss {step.loss:.3g}, grad norm {step.grad_norm:.3g}")

    def measured(self, part: Sequence[Measured], samples: Sequence[Sample]) -> None:
        """Advance by the images of one measured batch."""
        for m in part:
            if m.grad_norm > self._worst[0]:
                self._worst = (m.grad_norm, os.path.basename(samples[m.index].image))
        self._advance(len(part), f"largest norm {self._worst[0]:.3g}: {self._worst[1]}")

    def _advance(self, by: int, newest: str) -> None:
        self._done += by
        if self._bar is not None:
            self._bar.set_postfix_str(newest, refresh=False)
            self._bar.update(by)
        elif self._lines_wanted and time.monotonic() - self._said >= BETWEEN_LINES_S:
            self._said = time.monotonic()
            print(
                f"{self._done:,} of {self._total:,} {self._what}, {legible(newest)}",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
