"""Files come in order and whole, however slow the place is where they lie; many are asked for at once where it is."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sanitizer.dataset.tables import ImageTable, LabelTable, TaskSpec
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import read_labels
from sanitizer.storage import read_ahead as ahead
from sanitizer.storage.read_ahead import map_ahead, opening_waits, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN_S, READ_S = 2e-3, 3e-4
"""Seconds of waiting that stand for a network and for a disk."""
announces = pytest.mark.skipif(not ahead.CAN_ANNOUNCE, reason="the system takes no advice on files")


def content(file: int) -> bytes:
    return os.read(file, 100)


def slowly(file: int) -> bytes:
    time.sleep(READ_S)
    return content(file)


def nothing(file: int) -> None:
    """Announce nothing."""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for i in range(300):
        (tmp_path / f"{i:03}").write_bytes(b"%d" % i)
    return [str(tmp_path / f"{i:03}") for i in range(300)]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """To open or to stat a file takes waiting."""
    real_open, real_stat = os.open, os.stat

    def slow_open(*arguments: object, **named: object) -> int:
        time.sleep(OPEN_S)
        return real_open(*arguments, **named)  # type: ignore[arg-type]

    def slow_stat(*arguments: object, **named: object) -> os.stat_result:
        time.sleep(OPEN_S)
        return real_stat(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", slow_open)
    monkeypatch.setattr(os, "stat", slow_stat)


def expected(files: list[str]) -> list[bytes]:
    return [b"%d" % i for i in range(len(files))]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a virus scanner may look at every file")
def test_files_in_memory_are_read_by_the_caller_alone(files: list[str]) -> None:
    announced: list[int] = []
    threads = set()

    def read(file: int) -> bytes:
        threads.add(threading.get_ident())
        return content(file)

    assert list(read_ahead(files, read, announced.append)) == expected(files)
    assert not announced
    assert threads == {threading.get_ident()}


@announces
def test_a_slow_disk_is_told_of_files_before_they_are_read_but_not_of_too_many(files: list[str]) -> None:
    announced: list[int] = []
    n_read, most_ahead = 0, 0

    def read(file: int) -> bytes:
        nonlocal n_read, most_ahead
        n_read += 1
        most_ahead = max(most_ahead, len(announced) - n_read)
        return slowly(file)

    assert list(read_ahead(files, read, announced.append)) == expected(files)
    assert len(announced) > len(files) - 20
    assert ahead.OPEN_AT_ONCE / 2 < most_ahead <= ahead.OPEN_AT_ONCE


@pytest.mark.thorough
@pytest.mark.usefixtures("network")
def test_over_a_network_many_files_are_opened_at_once(files: list[str]) -> None:
    started = time.perf_counter()
    assert list(read_ahead(files, content, nothing)) == expected(files)
    assert time.perf_counter() - started < len(files) * OPEN_S / 3


@pytest.mark.thorough
@pytest.mark.usefixtures("network")
def test_over_a_network_many_files_are_looked_at_at_once(files: list[str]) -> None:
    started = time.perf_counter()
    sizes = [state.st_size for state in map_ahead(lambda path: os.stat(path), files)]
    assert sizes == [len(text) for text in expected(files)]
    assert time.perf_counter() - started < len(files) * OPEN_S / 3


@pytest.mark.usefixtures("network")
def test_a_handful_of_files_that_are_read_before_it_is_known_how_slow_they_are_start_no_thread(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", None)
    few = files[: ahead.FEWEST_TIMED]
    assert list(read_ahead(few, content, nothing)) == expected(few)
    assert len(list(map_ahead(lambda path: os.stat(path), few))) == len(few)


def test_who_opens_quickly_needs_no_more_processes_than_cores(files: list[str]) -> None:
    assert not opening_waits([])
    assert not opening_waits(files) or sys.platform != "linux"


@pytest.mark.usefixtures("network")
def test_who_waits_for_every_open_may_have_more_processes(files: list[str]) -> None:
    assert opening_waits(files)


@pytest.fixture(params=["memory", "disk", "network"])
def reader(request: pytest.FixtureRequest) -> object:
    """A way to read for each speed of the place."""
    if request.param == "network":
        request.getfixturevalue("network")
    return content if request.param != "disk" else slowly


def test_an_error_stands_in_the_place_of_its_file(files: list[str], tmp_path: Path, reader: object) -> None:
    odd = {5: str(tmp_path / "missing"), 50: str(tmp_path), 150: "nul\0", 299: str(tmp_path / "missing")}
    paths = [odd.get(i, path) for i, path in enumerate(files)]
    results = list(read_ahead(paths, reader, nothing))  # type: ignore[arg-type]
    kinds = {i: type(result) for i, result in enumerate(results) if isinstance(result, Exception)}
    assert kinds == {5: FileNotFoundError, 50: IsADirectoryError, 150: ValueError, 299: FileNotFoundError}
    assert [r for i, r in enumerate(results) if i not in odd] == [
        text for i, text in enumerate(expected(files)) if i not in odd
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux shows them")
def test_who_stops_early_leaves_no_file_and_no_thread(files: list[str], reader: object) -> None:
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    some: Iterator[object] = read_ahead(files, reader, nothing)  # type: ignore[arg-type]
    assert [next(some) for _ in range(20)] == expected(files)[:20]
    started = time.perf_counter()
    some.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - started < 0.5
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


# ---- labels and images -----------------------------------------------------------------------------------------

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def odd_files(folder: Path) -> list[str]:
    """Files of every kind that a label or an image may turn out to be, many times."""
    kinds = {
        "plain": b"0 0.5 0.5 0.2 0.2\n" * 3,
        "empty": b"",
        "large": b"0 0.5 0.5 0.2 0.2\n" * 9000,
        "too large": b"0 0.5 0.5 0.2 0.2\n" * 90_000,
        "not text": b"\xff\xfe0\x00",
        "head of an image": PNG_HEAD,
    }
    for name, data in kinds.items():
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    return [str(folder / name) for name in (*kinds, "folder", "broken", "pipe", "gone", "nul\0")] * 3


def as_lists(table: LabelTable | ImageTable) -> list[object]:
    columns = [getattr(table, name) for name in type(table).__slots__]
    return [c.tolist() if isinstance(c, np.ndarray) else c for c in columns]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_labels_and_images_read_the_same_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    paths, spec = [None, *odd_files(tmp_path)], TaskSpec("detect", nc=1, max_label_bytes=1 << 20)
    in_memory = as_lists(read_labels(paths, spec)), as_lists(read_images(paths, "header"))
    real_read = os.read

    def slow_read(file: int, length: int) -> bytes:
        time.sleep(READ_S)
        return real_read(file, length)

    with monkeypatch.context() as disk:
        disk.setattr(os, "read", slow_read)
        assert (as_lists(read_labels(paths, spec)), as_lists(read_images(paths, "header"))) == in_memory
    request.getfixturevalue("network")
    assert (as_lists(read_labels(paths, spec)), as_lists(read_images(paths, "header"))) == in_memory
