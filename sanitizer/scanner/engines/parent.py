"""A worker process ends with the process that started it, however that one ends and whatever the worker is at.

That its pipe is closed tells a worker only once it is done with a piece, and not while others that were forked later
hold the pipe, too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import wait
from threading import Thread

LOOK_EVERY_S = 0.5
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have this process end with its parent: by the kernel on Linux, and by a thread everywhere.

    The kernel's signal also ends a process that is stuck in a system call or lets no other thread run.

    Args:
        parent: Process id of the one that started it. Where that is gone already, this process ends at once.
    """
    if sys.platform == "linux":
        _be_killed_by_kernel()
    if os.getppid() != parent:
        os._exit(1)
    watch_parent(parent)


def watch_parent(parent: int) -> None:
    """Have a thread end this process within a second after its parent ended."""
    Thread(target=_end_when_gone, args=(parent,), name="watch parent", daemon=True).start()


def _end_when_gone(parent: int) -> None:
    known = multiprocessing.parent_process()
    handles = [] if known is None else [known.sentinel]
    # A forked sibling can keep the handle from telling; Windows keeps the number of a parent that is gone.
    while not wait(handles, LOOK_EVERY_S) and os.getppid() == parent:
        pass
    os._exit(1)


def _be_killed_by_kernel() -> None:
    """prctl(2), PR_SET_PDEATHSIG."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
