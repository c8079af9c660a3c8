"""data.yaml: whatever stands in it is a fault in a sentence, and finding the dataset raises DatasetError alone."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.data_yaml import read_data_yaml
from sanitizer.dataset.model import DatasetError
from targets.scratch import put, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.data_yaml import DataYaml

MAX_BYTES = 4096
SPLITS = ("train", "val", "test")
WORDS = (
    *(
        b"path: ",
        b"train: ",
        b"val: ",
        b"names:",
        b"nc: ",
        b"kpt_shape: ",
        b"flip_idx: ",
        b"download: ",
        b"task: ",
    ),
    *(
        b"!!python/object/apply:os.system",
        b"!!binary ",
        b"!!int ",
        b"!!float ",
        b"!!set",
        b"!!omap",
        b"!!timestamp ",
    ),
    *(
        b"&a ",
        b"*a",
        b"<<: *a",
        b"? ",
        b"- ",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"|\n",
        b">\n",
        b"{",
        b"[",
        b"# ",
    ),
    *(
        b"images/train",
        b"train.txt",
        b"..",
        b"~",
        b"None",
        b"null",
        b".nan",
        b".inf",
        b"0x7f",
        b"1_000",
        b"1:30",
    ),
    *(b"2001-02-31", b"99999999", b"\\uD800", b"\0", b"\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf"),
)


def seeds() -> Iterator[bytes]:
    """What exporters write, and what attackers do."""
    yield b"path: .\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    yield b"train: images/train\nval: train.txt\nnc: 2\nnames:\n  0: a\n  1: b\n"
    yield b"train: [images/train, images/val]\nval: images/val\nnames: {0: a, 5: b, x: c}\nkpt_shape: [17, 3]\n"
    yield b"train: images/train\nval: ''\nnames: &n [a, b]\ntest: *n\n? [1, 2]\n: 3\n"
    yield b"train: 1\nval: null\nnc: -1\nnames: a\nkpt_shape: [a]\nflip_idx: {}\n"
    yield b"a: !!python/object/apply:os.system ['true']\n"
    yield b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\ntrain: images/train\n"
    yield b"names: {99999999: a}\nnc: 100000000\ntrain: images/train\nval: images/val\n"
    yield b"[" * 70 + b"]" * 70
    yield "names: [é, \u2028, '\\ud800']\ntrain: images/train\nval: images/val\n".encode("latin-1", "replace")
    yield b"when: 2001-02-31\nx: !!int x\ny: 1:30\nz: .nan\ntrain: images/train\nval: images/val\nnames: [a]\n"
    yield b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"


def check(data: bytes) -> None:
    """See the module."""
    path = put("data.yaml", data)
    _make_dataset()
    document = read_data_yaml(path)
    assert document.readable or document.faults, "a file that cannot be read has no fault"
    assert isinstance(document.data, dict)
    for fault in document.faults:
        assert fault.rule
    if any(map(_leaves, _paths_of(document))):
        return  # finding it may walk the whole disk
    with contextlib.suppress(DatasetError):
        dataset = find_dataset([path])
        dataset.task_spec("detect")
        assert all(isinstance(name, str) for name in dataset.names.values())


def _paths_of(document: DataYaml) -> Iterator[str]:
    base = document.data.get("path")
    for key in SPLITS:
        value = document.data.get(key)
        for path in value if isinstance(value, list) else [value]:
            yield os.path.join(str(base or ""), str(path or ""))


def _leaves(path: str) -> bool:
    """Whether a path may lead out of the folder, or into the one where the fuzzer was started."""
    return (
        os.path.isabs(path) or ".." in path or "://" in path or path.strip() in ("", ".", "./") or "~" in path
    )


def _make_dataset() -> None:
    root = scratch()
    if (root / "images").exists():
        return
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        (root / "images" / split / "a.jpg").write_bytes(b"\xff\xd8\xff\xd9")
        (root / "labels" / split / "a.txt").write_bytes(b"0 0.5 0.5 0.4 0.3\n")
    (root / "train.txt").write_bytes(b"./images/train/a.jpg\n")
