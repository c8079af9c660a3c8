"""Which files of a piece end the process that reads them, found by halving; the rest of the piece is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.dataset.left_out import NOTHING, LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sanitizer.scanner.chunks import ChunkResult
    from sanitizer.scanner.pieces import Piece

    Attempt = Callable[[Piece, LeftOut], "list[ChunkResult] | None"]
    """Judges a piece in a process of its own; None where that process ended."""


class NoProcessLivesError(Exception):
    """A process ended without reading any file: the files are not to blame."""


def judge_alone(piece: Piece, attempt: Attempt) -> list[ChunkResult]:
    """The results of a piece over which processes ended, without the files that are to blame.

    What ends a process only together, as memory for all of it is not there, is judged half by half.

    Raises:
        NoProcessLivesError: Processes end whatever they do.
    """
    results = attempt(piece, NOTHING)
    if results is not None:
        return results
    bare = attempt(piece, _all_but(piece))
    if bare is None:
        raise NoProcessLivesError
    images, labels = set[int](), set[int]()
    for pair in _deadly_pairs(piece, attempt, 0, piece.most_pairs):
        image = attempt(piece, LeftOut(_others(piece, pair), frozenset(range(piece.most_pairs)))) is None
        label = attempt(piece, LeftOut(frozenset(range(piece.most_pairs)), _others(piece, pair))) is None
        images |= {pair} if image or not label else set()
        labels |= {pair} if label or not image else set()
    results = attempt(piece, LeftOut(frozenset(images), frozenset(labels))) if images or labels else None
    if results is not None:
        return results
    halves = piece.halves()
    return [result for half in halves for result in judge_alone(half, attempt)] if halves else bare


def _deadly_pairs(piece: Piece, attempt: Attempt, start: int, stop: int) -> Iterator[int]:
    """Pairs start to stop that end a process each by itself, given that together they do."""
    if stop - start == 1:
        yield start
        return
    middle = (start + stop) // 2
    for part in ((start, middle), (middle, stop)):
        if attempt(piece, _all_but(piece, *part)) is None:
            yield from _deadly_pairs(piece, attempt, *part)


def _all_but(piece: Piece, start: int = 0, stop: int = 0) -> LeftOut:
    rest = frozenset((*range(start), *range(stop, piece.most_pairs)))
    return LeftOut(rest, rest)


def _others(piece: Piece, pair: int) -> frozenset[int]:
    return frozenset(range(piece.most_pairs)) - {pair}
