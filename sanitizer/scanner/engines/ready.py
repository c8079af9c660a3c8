"""Workers that are forked before PyTorch is loaded: after that they are spawned, and import all that they need."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_READY = 8
"""A fork costs some milliseconds, also if the dataset turns out to be small."""


@contextlib.contextmanager
def ready_workers() -> Iterator[None]:
    """Within the block, `Worker` gives first those that were forked as the block began. For commands that load PyTorch.

    Where a fork is not safe even then, workers start as they always do.
    """
    if not processes.may_start() or processes.start_method() != "fork":
        yield
        return
    import sanitizer.scanner.run  # noqa: F401  # workers get what is loaded now
    from sanitizer.scanner.engines.local import usable_cores
    from sanitizer.scanner.engines.worker import Worker

    # One for each core judges, and one copies the labels of a view.
    n_workers = min(usable_cores(), MOST_READY) + 1
    try:
        # They only save time: what cannot be forked now is started when needed.
        with contextlib.suppress(OSError):
            for _ in range(n_workers):
                Worker.ready.append(Worker())
        yield
    finally:
        while Worker.ready:
            Worker.ready.pop().end()
