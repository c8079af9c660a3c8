"""Readers that fail in workers, however these were started: what fails is sent to them with their job."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- dataclasses look at it
from typing import TYPE_CHECKING, Any

import sanitizer.scanner.chunks
from sanitizer.scanner.engines import local

if TYPE_CHECKING:
    import pytest

Before = Callable[[Sequence["str | None"]], None]
"""What is done with the paths that are about to be read. It can be pickled."""


def replace_reader(monkeypatch: pytest.MonkeyPatch, name: str, before: Before) -> None:
    """Have workers, but not this process, call `before` with the paths that they are about to read.

    Args:
        monkeypatch: Of the test.
        name: `read_images` or `read_labels`; or another function of sanitizer.scanner.chunks, handed its arguments.
        before: As `Before`.
    """
    monkeypatch.setattr(local, "judge", Spoilt(local.judge, name, before, os.getpid()))


@dataclass(frozen=True)
class Spoilt:
    """`judge`, with one of the functions that it calls replaced in the process of a worker."""

    judge: Callable[..., Any]
    name: str
    before: Before
    parent: int

    def __call__(self, *arguments: Any) -> Any:
        if os.getpid() != self.parent:
            real = getattr(sanitizer.scanner.chunks, self.name)
            if not isinstance(real, Spoiled):
                setattr(sanitizer.scanner.chunks, self.name, Spoiled(real, self.before))
        return self.judge(*arguments)


@dataclass(frozen=True)
class Spoiled:
    """A reader that does something with its paths before it reads."""

    real: Callable[..., Any]
    before: Before

    def __call__(self, first: Any, *rest: Any) -> Any:
        self.before(first)
        return self.real(first, *rest)


def die(*_: object) -> None:
    """End this process as the system does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Deadly:
    """Files whose reader ends."""

    names: tuple[str, ...]

    def __call__(self, paths: Sequence[str | None]) -> None:
        if any(path is not None and path.endswith(self.names) for path in paths):
            die()


def deadly(*names: str) -> Before:
    """Files of these names end the process that reads them."""
    return Deadly(names)


@dataclass(frozen=True)
class DeadlyOnce:
    """A file whose first reader ends, and leaves a mark."""

    name: str
    mark: Path

    def __call__(self, paths: Sequence[str | None]) -> None:
        if any(path is not None and path.endswith(self.name) for path in paths):
            with contextlib.suppress(FileExistsError):
                self.mark.touch(exist_ok=False)
                die()


@dataclass(frozen=True)
class TooMany:
    """More files at once than this end their reader."""

    most: int

    def __call__(self, paths: Sequence[str | None]) -> None:
        if sum(path is not None for path in paths) > self.most:
            die()


@dataclass(frozen=True)
class Raising:
    """An error where a file of this name is read, or always."""

    error: BaseException
    name: str | None = None

    def __call__(self, paths: Any) -> None:
        if self.name is None or any(path is not None and path.endswith(self.name) for path in paths):
            raise self.error


@dataclass(frozen=True)
class NotedDown:
    """Readers leave a file for their process id and priority."""

    folder: Path

    def __call__(self, paths: Sequence[str | None]) -> None:
        (self.folder / f"{os.getpid()} {os.getpriority(os.PRIO_PROCESS, 0)}").touch()
