"""Strangers' files are read within limits: never a FIFO, never a device, never more bytes than asked for."""

from __future__ import annotations

import io
import os
import socket
from typing import TYPE_CHECKING

import pytest

from sanitizer.util.bounded_read import (
    NotRegularError,
    TooLargeError,
    as_size,
    open_regular,
    read_bounded,
    read_stream,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_a_file_up_to_its_limit_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    assert read_bounded(str(tmp_path / "a"), 100) == b"x" * size


def test_one_byte_more_is_an_error_that_names_the_file_and_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 101)
    with pytest.raises(TooLargeError, match="larger than the limit of 100 bytes") as caught:
        read_bounded(str(tmp_path / "a"), 100)
    assert caught.value.filename == str(tmp_path / "a")


def test_a_sparse_file_of_terabytes_costs_nothing(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    with pytest.raises(TooLargeError):
        read_bounded(str(tmp_path / "a"), 1000)


def test_a_stream_without_end_is_left_at_its_limit() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.given += size
            return b"\0" * size

    endless = Endless()
    with pytest.raises(TooLargeError, match="3 MB"):
        read_stream(endless, 3 << 20, "endless")  # type: ignore[arg-type]
    assert endless.given == (3 << 20) + 1


def test_fifos_devices_sockets_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        for path in (str(tmp_path / "fifo"), "/dev/zero", str(tmp_path), str(tmp_path / "s")):
            with pytest.raises(NotRegularError, match="no regular file"):
                read_bounded(path, 100)


def test_links_are_followed_only_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")
    assert read_bounded(str(tmp_path / "link"), 100) == b"x"
    with (
        pytest.raises(NotRegularError, match="it is a link"),
        open_regular(str(tmp_path / "link"), follow_links=False),
    ):
        pass


@pytest.mark.parametrize(
    ("size", "text"), [(100, "100 bytes"), (16 << 10, "16 kB"), (64 << 20, "64 MB"), (1 << 30, "1024 MB")]
)
def test_sizes_read_as_people_say_them(size: int, text: str) -> None:
    assert as_size(size) == text
