"""Worker processes on this machine: any of them may end at any time, and nothing is lost by it."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic

from sanitizer.scanner.engines.agenda import Agenda, Result, Work
from sanitizer.scanner.engines.culprit import NoProcessLivesError
from sanitizer.scanner.engines.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sanitizer.scanner.engines.memory import Throttle

PIECES_PER_WORKER = 4
"""Pieces under way or waiting for one before them, for each worker: one slow piece does not hold the others up."""
SENT_AHEAD = 2
"""Pieces that a worker has at once, so that it need not wait for the next."""


class Pool(Generic[Work, Result]):
    """Works on pieces in worker processes, as many at once as memory allows.

    Args:
        function: What is done with each piece; it can be pickled, as pieces and results can.
        alone: The result of a piece over which processes ended. It is handed the piece, and what calls `function`
            in a process of its own: None where that process ends.
        throttle: Says how many workers may be at work.
        add_note: Given sentences on how it went.
        lock: What workers share, as `Worker` takes it.
    """

    def __init__(
        self,
        function: Callable[[Work], Result],
        alone: Callable[[Work, Callable[..., Result | None]], Result],
        throttle: Throttle,
        add_note: Callable[[str], None],
        lock: object = None,
    ) -> None:
        self._lock = lock
        self._function, self._alone, self._throttle, self._add_note = function, alone, throttle, add_note
        self._workers: list[Worker] = []

    def run(self, pieces: Iterable[Work]) -> Iterator[tuple[Work, Result]]:
        """(piece, result) of all pieces, in order. Workers are gone when this ends, however it ends."""
        agenda = Agenda[Work, Result](pieces)
        try:
            while True:
                self._hand_out(agenda)
                if self._collect(agenda):
                    yield from agenda.ready()
                elif agenda.suspects:
                    self._examine(agenda)
                    yield from agenda.ready()
                else:
                    return
        except NoProcessLivesError:
            self._add_note("worker processes ended whatever they did: files were read by a single process")
            for task in agenda.unfinished():
                agenda.finish(task, self._function(task.piece))
                yield from agenda.ready()
        finally:
            self._end_all()

    def _hand_out(self, agenda: Agenda[Work, Result]) -> None:
        """Give workers as much to do as is good; nothing while suspects wait to be alone."""
        if agenda.suspects:
            return
        allowed = self._throttle.allowed()
        if self._throttle.was_short:
            for worker in self._workers:
                worker.lower_priority()
        window, ahead = allowed * PIECES_PER_WORKER, SENT_AHEAD if allowed > 1 else 1
        for n_sent in range(ahead):
            for number in range(allowed):
                if number < len(self._workers) and len(self._workers[number].sent) > n_sent:
                    continue
                task = agenda.take(window)
                if task is None:
                    return
                if number == len(self._workers):
                    self._workers.append(Worker(self._function, self._lock))
                self._workers[number].send(task)

    def _collect(self, agenda: Agenda[Work, Result]) -> bool:
        """Wait for answers and keep them; False where none is due."""
        busy = {worker.connection: worker for worker in self._workers if worker.sent}
        if not busy:
            return False
        for connection in wait(list(busy)):
            worker = busy[connection]
            result = worker.answer()
            task = worker.sent.popleft()
            if result is not None:
                agenda.finish(task, result)
                continue
            self._workers.remove(worker)
            worker.end()
            for innocent in reversed(worker.sent):
                agenda.put_back(innocent)
            agenda.blame(task)
        return True

    def _examine(self, agenda: Agenda[Work, Result]) -> None:
        """Work on the first suspect while no worker is at work."""
        task = agenda.suspects[0]
        lone = _Lone(partial(Worker, self._function, self._lock))
        try:
            agenda.finish(task, self._alone(task.piece, lone.attempt))
        finally:
            lone.end()
        agenda.suspects.popleft()

    def _end_all(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()


class _Lone:
    """A worker that is replaced whenever it ends."""

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._worker: Worker | None = None

    def attempt(self, *arguments: object) -> Any:
        self._worker = self._worker or self._start()
        self._worker.request(*arguments)
        result = self._worker.answer()
        if result is None:
            self.end()
        return result

    def end(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._worker = None
