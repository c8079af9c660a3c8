"""Ultralytics' NDJSON: no record raises; what is wrong with a line is a fault that names it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from targets.packs import check_pack
from targets.scratch import put

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 8192
WORDS = (
    *(
        b'"type"',
        b'"dataset"',
        b'"image"',
        b'"task"',
        b'"class_names"',
        b'"kpt_shape"',
        b'"split"',
        b'"train"',
    ),
    *(b'"val"', b'"file"', b'"annotations"', b'"boxes"', b'"segments"', b'"pose"', b'"width"', b'"height"'),
    *(
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
        b"1e400",
        b"-1",
        b"99999999999999999999",
        b'"\\ud800"',
        b'"\\u0000"',
    ),
    *(b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\\", b'"', b"../", b".jpg"),
)


def seeds() -> Iterator[bytes]:
    """Sets of every task, and records that the converter stops at."""
    for task, rows in (
        ("detect", {"boxes": [[0, 0.5, 0.5, 0.4, 0.3]]}),
        ("segment", {"segments": [[0, 0.1, 0.1, 0.5, 0.1, 0.5, 0.5]]}),
        ("pose", {"pose": [[0, 0.5, 0.5, 0.4, 0.3, 0.5, 0.5, 2, 0.6, 0.6, 1]]}),
        ("obb", {"obb": [[0, 0.1, 0.1, 0.5, 0.1, 0.5, 0.5, 0.1, 0.5]]}),
    ):
        yield _lines(_header(task), _image(rows), _image(rows, "val"))
    yield _lines(_header("classify"), _image({}))
    yield _lines(_image({"boxes": [[]]}), _image({"boxes": [["x"]], "segments": [[1]]}))
    yield _lines({"class_names": {"0": "a", "7": 5}}, {"split": "dev"}, {"split": "val", "file": 5})
    yield _lines(_header("detect"), _image({"boxes": None}), _image({"boxes": {"a": 1}}), {"annotations": []})
    yield b'{"class_names": {"\\ud800": "\\ud800"}}\n{"file": "\\ud800/\\u0000.jpg", "split": "train"}\n\n[]\nx\n'
    yield _lines(_header("detect"), _image({}) | {"file": "\ud800.jpg"}, _image({}) | {"file": "a\0.jpg"})
    yield b"\xff\n" + b"[" * 60 + b"\n\n"


def _header(task: str) -> dict[str, object]:
    return {"type": "dataset", "task": task, "class_names": {"0": "cat", "1": "dog"}, "kpt_shape": [2, 3]}


def _image(annotations: object, split: str = "train") -> dict[str, object]:
    size = {"width": 640, "height": 480}
    return {"type": "image", "file": "a/b.jpg", "split": split, **size, "annotations": annotations}


def _lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def check(data: bytes) -> None:
    """See the module."""
    check_pack(put("set.ndjson", data))
