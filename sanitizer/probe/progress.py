"""The progress bar of a probe: the newest gradient norm, the image with the largest norm, the time left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.probe.gradients.measure import Measured
    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.ultra.samples import Sample


class Progress:
    """A progress bar on stderr, if the user wants one."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._bar: Any = None
        self._worst = (0.0, "")

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """Start a bar. `total` and `done` count the steps of a warm-up or the images of a measuring pass."""
        if self._wanted:
            from tqdm import tqdm

            unit = " steps" if what == "warm-up" else " images"
            self._bar = tqdm(total=total, initial=done, unit=unit, leave=False, desc=what)

    def trained(self, step: StepRecord) -> None:
        """Advance the bar by one optimizer step."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {step.loss:.3g}, grad norm {step.grad_norm:.3g}", refresh=False)
            self._bar.update(1)

    def measured(self, part: Sequence[Measured], samples: Sequence[Sample]) -> None:
        """Advance the bar by the images of one measured batch."""
        for m in part:
            if m.grad_norm > self._worst[0]:
                self._worst = (m.grad_norm, os.path.basename(samples[m.index].image))
        if self._bar is not None:
            self._bar.set_postfix_str(f"largest norm {self._worst[0]:.3g}: {self._worst[1]}", refresh=False)
            self._bar.update(len(part))

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
