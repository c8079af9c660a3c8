"""Folders that are reached without following a link."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sanitizer.util.bounded_read import NotRegularError, TooLargeError
from sanitizer.util.folder import NoFolderError, open_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/x").write_text("content")
    (tmp_path / "elsewhere/b").mkdir(parents=True)
    return tmp_path / "root"


def test_the_root_may_be_a_link_and_nothing_below_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    with open_folder(str(tmp_path / "alias"), "a/b") as folder:
        assert folder.read("x", 100) == b"content"
    (root / "link").symlink_to(tmp_path / "elsewhere")
    for path in ("link", "link/b"):
        with pytest.raises(NoFolderError, match="it is a link") as caught, open_folder(str(root), path):
            pass
        assert caught.value.filename == str(root / "link")


def test_a_file_or_nothing_is_no_folder(root: Path) -> None:
    with pytest.raises(NoFolderError, match="no folder"), open_folder(str(root), "a/b/x"):
        pass
    with pytest.raises(FileNotFoundError), open_folder(str(root), "a/none"):
        pass
    with open_folder(str(root), "a/new/er", make=True) as folder:
        folder.write("y", b"1")
    assert (root / "a/new/er/y").read_bytes() == b"1"


def test_an_open_folder_stays_the_same_one(root: Path, tmp_path: Path) -> None:
    with open_folder(str(root), "a") as folder:
        (root / "a").rename(root / "moved")
        (root / "a").symlink_to(tmp_path / "elsewhere")
        folder.write("y", b"1")
        folder.replace("y", "z")
    assert sorted(os.listdir(root / "moved")) == ["b", "z"]
    assert os.listdir(tmp_path / "elsewhere") == ["b"]


def test_files_are_read_and_made_without_links(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path / "victim")
    with open_folder(str(root)) as folder:
        with pytest.raises(NotRegularError):
            folder.read("link", 10)
        with pytest.raises(FileExistsError) as caught:
            folder.write("link", b"1")
        assert caught.value.filename == str(root / "link")
        with pytest.raises(NotRegularError):
            folder.open_or_create("link")
        with open_folder(str(root), "a/b") as inner, pytest.raises(TooLargeError):
            inner.read("x", 3)
        folder.write("new", b"1")
        folder.replace("new", "link")
    assert (root / "link").read_bytes() == b"1" and not (tmp_path / "victim").exists()


def test_a_tree_is_removed_and_what_its_links_lead_to_is_not(root: Path, tmp_path: Path) -> None:
    (root / "a/link").symlink_to(tmp_path / "elsewhere")
    (root / "top").symlink_to(tmp_path / "elsewhere")
    with open_folder(str(root)) as folder:
        folder.remove_tree("a")
        folder.remove_tree("top")
        folder.remove_tree("none")
    assert os.listdir(root) == ["top"] and os.listdir(tmp_path / "elsewhere") == ["b"]


def test_a_published_file_takes_no_name_that_is_taken(root: Path) -> None:
    with open_folder(str(root)) as folder:
        for content in (b"first", b"second"):
            folder.write("part", content)
            folder.publish("part", "name")
            folder.unlink("part")
    assert (root / "name").read_bytes() == b"first"
    shutil.rmtree(root)
