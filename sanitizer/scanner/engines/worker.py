"""One process that works on pieces: it answers in the order it was sent them, or it ends and its pipe says so."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from sanitizer.scanner.engines.parent import end_with_parent
from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from sanitizer.scanner.engines.agenda import QueuedPiece

LOWER_PRIORITY = 10
"""Niceness of workers while memory is short."""
_KILL_FIRST = "500"
"""Of 1000, added to what the kernel holds against a process when memory runs out: a worker can be replaced."""


class Worker:
    """A worker process, from outside.

    Args:
        function: What it does with each piece; it can be pickled, as pieces and results can. None lets it wait.
        lock: One of `multiprocessing`, which workers can only be given as they start: see `common_lock`.

    Attributes:
        connection: Readable when there is an answer, or when the process ended.
        sent: Tasks that it was sent and has not answered; it works on the first of them.
        ready: Workers that wait to be told what to do, and take the place of others that would start.
    """

    ready: ClassVar[list[Worker]] = []

    def __init__(self, function: Callable[..., Any] | None = None, lock: Any = None) -> None:
        self.connection: Any
        self._process: Any
        self.sent: deque[QueuedPiece[Any]] = deque()
        if function is not None and lock is None and Worker.ready:
            waiting = Worker.ready.pop(0)
            self.connection, self._process = waiting.connection, waiting._process
            self.request(function)
            return
        method = processes.start_method()
        context: Any = multiprocessing.get_context(method)
        self.connection, theirs = context.Pipe()
        # Who holds this end keeps the worker from noticing that we are gone; a forked one holds it, too.
        ours = self.connection if method == "fork" else None
        # A forked worker has what the function needs already. To a spawned one it is sent once it runs: so one that
        # does not come up is no more than one that ended.
        known = function if method == "fork" else None
        self._process = context.Process(
            target=_serve, args=(os.getpid(), theirs, ours, known, lock), daemon=True
        )
        with processes.no_strange_imports():
            if method == "spawn":
                _start_tracker()
            with _interrupts_put_off():
                self._process.start()
        theirs.close()
        if known is None and function is not None:
            self.request(function)

    def send(self, task: QueuedPiece[Any]) -> None:
        """Give it a task, to be done after those it has."""
        self.sent.append(task)
        self.request(task.piece)

    def request(self, *arguments: object) -> None:
        """Ask for the function's result for these arguments."""
        with contextlib.suppress(OSError):  # it has ended: `answer` tells
            self.connection.send(arguments)

    def answer(self) -> Any:
        """Its next answer, waiting for it; None where the process ended. Raises what the function raised."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def lower_priority(self) -> None:
        """Let everything else on the machine go first."""
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, LOWER_PRIORITY)

    def end(self) -> None:
        """Stop it, whatever it is doing, and wait until it is gone."""
        self.connection.close()
        self._process.terminate()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


_lock: Any = None


def common_lock() -> Any:
    """In a worker: the lock that it shares with the others."""
    return _lock


def _start_tracker() -> None:
    """Start the process that Python has beside spawned ones: else it comes with the first, and lets interrupts in."""
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Let Ctrl-C come after this: raised inside a fork it is lost, and kills the child halfway."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    parent: int,
    connection: Connection,
    ours: Connection | None,
    function: Callable[..., object] | None,
    lock: object,
) -> None:
    """The worker, from inside: do what is asked until nobody is there to ask. Without a function the first is told."""
    global _lock
    _lock = lock
    end_with_parent(parent)
    if ours is not None:
        ours.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal interrupts us all; who asked ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_KILL_FIRST)
    with contextlib.suppress(EOFError, OSError):
        if function is None:
            (function,) = connection.recv()
        while True:
            connection.send(_answer(function, connection.recv()))


def _answer(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    try:
        return function(*arguments)
    except MemoryError:
        os._exit(1)  # as if the system had ended us: the piece is tried again, and looked at alone
    except Exception as error:
        if sys.version_info >= (3, 11):
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error
