"""Which piece is next, which must be worked on alone, and which results wait for those of pieces before them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sanitizer.scanner.chunks import ChunkResult
    from sanitizer.scanner.pieces import Piece

    Judged = tuple[Piece, list[ChunkResult]]

Work = TypeVar("Work")
"""What is done at once: a `Piece` of a dataset, or some pictures of a page."""
Result = TypeVar("Result")

DEATHS_TO_SUSPECT = 2
"""A process may end for reasons of its own; where two end over the same piece, the piece is looked at alone."""


@dataclass(slots=True)
class QueuedPiece(Generic[Work]):
    """A piece under way. `number` is its place among all, `deaths` how many processes ended over it."""

    number: int
    piece: Work
    deaths: int = 0


class Agenda(Generic[Work, Result]):
    """The pieces of a job between being known and being handed over. Pieces are asked for one at a time.

    Attributes:
        suspects: Tasks over which processes ended: to be judged alone.
    """

    def __init__(self, pieces: Iterable[Work]) -> None:
        self._fresh = (QueuedPiece(number, piece) for number, piece in enumerate(pieces))
        self._again: deque[QueuedPiece[Work]] = deque()
        self._done: dict[int, tuple[Work, Result]] = {}
        self._n_taken = self._n_handed_over = 0
        self.suspects: deque[QueuedPiece[Work]] = deque()

    def take(self, window: int) -> QueuedPiece[Work] | None:
        """The next task, if fewer than `window` are under way or wait for one before them; None for none."""
        if self._again:
            return self._again.popleft()
        if self._n_taken - self._n_handed_over >= window:
            return None
        task = next(self._fresh, None)
        self._n_taken += task is not None
        return task

    def put_back(self, task: QueuedPiece[Work]) -> None:
        """A task was lost through no fault of its own: it comes next."""
        self._again.appendleft(task)

    def blame(self, task: QueuedPiece[Work]) -> None:
        """A process ended over this task: it comes again, or is a suspect from now on."""
        task.deaths += 1
        if task.deaths < DEATHS_TO_SUSPECT:
            self.put_back(task)
        else:
            self.suspects.append(task)

    def finish(self, task: QueuedPiece[Work], result: Result) -> None:
        """Keep a result until those of all tasks before were handed over."""
        self._done[task.number] = task.piece, result

    def ready(self) -> Iterator[tuple[Work, Result]]:
        """Hand over what is next, as far as it is there."""
        while self._n_handed_over in self._done:
            done = self._done.pop(self._n_handed_over)
            self._n_handed_over += 1
            yield done

    def unfinished(self) -> Iterator[QueuedPiece[Work]]:
        """Everything that was put back or is a suspect, then all that was never taken, in order."""
        lost = sorted([*self._again, *self.suspects], key=lambda task: task.number)
        self._again.clear()
        self.suspects.clear()
        yield from lost
        while (task := self.take(window=self._n_taken + 1)) is not None:
            yield task
