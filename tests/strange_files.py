"""What may stand where a file is expected: FIFOs, sockets, folders, links to nowhere, to themselves and to devices."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 36)


STRANGE: dict[str, Callable[[Path], None]] = {
    "FIFO": _fifo,
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "link loop": _loop,
    "link to nowhere": lambda path: path.symlink_to("no such file"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "sparse file of 64 GB": _huge,
    "gone": lambda path: None,
}
"""Name to what puts such a thing at a path where nothing is."""


def put(kind: str, path: Path) -> None:
    """Put something strange in the place of a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    STRANGE[kind](path)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where what is done takes longer, as it does where it waits for a FIFO."""

    def too_long(*_: object) -> None:
        pytest.fail(f"not done within {seconds} s")  # no Exception: nothing on the way takes it for its own

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
