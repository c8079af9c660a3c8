"""Worker processes on this machine: any of them may end at any time, and nothing is lost by it."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from sanitizer.scanner.chunks import judge
from sanitizer.scanner.engines.agenda import Agenda
from sanitizer.scanner.engines.culprit import NoProcessLivesError, judge_alone
from sanitizer.scanner.engines.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sanitizer.dataset.left_out import LeftOut
    from sanitizer.images.image_files import ImageMode
    from sanitizer.scanner.cache import ChunkCache
    from sanitizer.scanner.chunks import ChunkResult, Job, Piece
    from sanitizer.scanner.engines.agenda import Judged
    from sanitizer.scanner.engines.memory import Throttle

PIECES_PER_WORKER = 4
"""Pieces under way or waiting for one before them, for each worker: one slow piece does not hold the others up."""
SENT_AHEAD = 2
"""Pieces that a worker has at once, so that it need not wait for the next."""


class Pool:
    """Judges pieces in worker processes, as many at once as memory allows."""

    def __init__(
        self, job: Job, cache: ChunkCache | None, throttle: Throttle, tell: Callable[[str], None]
    ) -> None:
        self._job, self._cache, self._throttle, self._tell = job, cache, throttle, tell
        self._workers: list[Worker] = []

    def run(self, pieces: Iterable[Piece]) -> Iterator[Judged]:
        """Judge all pieces, in order. Workers are gone when this ends, however it ends."""
        agenda = Agenda(pieces)
        _load_readers(self._job.mode)
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
            self._tell("worker processes ended whatever they did: files were read by a single process")
            for task in agenda.unfinished():
                agenda.finish(task, judge(self._job, self._cache, task.piece))
                yield from agenda.ready()
        finally:
            self._end_all()

    def _hand_out(self, agenda: Agenda) -> None:
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
                    self._workers.append(Worker(self._job, self._cache))
                self._workers[number].send(task)

    def _collect(self, agenda: Agenda) -> bool:
        """Wait for answers and keep them; False where none is due."""
        busy = {worker.connection: worker for worker in self._workers if worker.sent}
        if not busy:
            return False
        for connection in wait(list(busy)):
            worker = busy[connection]
            results = worker.answer()
            task = worker.sent.popleft()
            if results is not None:
                agenda.finish(task, results)
                continue
            self._workers.remove(worker)
            worker.end()
            for innocent in reversed(worker.sent):
                agenda.put_back(innocent)
            agenda.blame(task)
        return True

    def _examine(self, agenda: Agenda) -> None:
        """Judge the first suspect while no worker is at work."""
        task = agenda.suspects[0]
        lone = _Lone(partial(Worker, self._job, self._cache))
        try:
            agenda.finish(task, judge_alone(task.piece, lone.attempt))
        finally:
            lone.end()
        agenda.suspects.popleft()

    def _end_all(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()


def _load_readers(mode: ImageMode) -> None:
    """Import once what every worker would import for itself, some of it at its first image: forked ones have it."""
    if mode == "decode":
        import imagehash
        from PIL import Image

        Image.preinit()
        imagehash.phash(Image.new("L", (32, 32)))


class _Lone:
    """A worker that is replaced whenever it ends."""

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._worker: Worker | None = None

    def attempt(self, piece: Piece, left_out: LeftOut) -> list[ChunkResult] | None:
        self._worker = self._worker or self._start()
        self._worker.request(piece, left_out)
        results = self._worker.answer()
        if results is None:
            self.end()
        return results

    def end(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._worker = None
