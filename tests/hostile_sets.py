"""Datasets as an attacker would publish them, made in code: each carries something that is to run, write or leak."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from typing import TYPE_CHECKING

from audited import CANARY
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "0 0.5 0.5 0.4 0.3\n"
FLAWED = "0 0.5 0.5 0.4 0.3\n0 0.5 0.5 0.4 0.3\n0 0.9 0.5 0.205 0.3\n"
"""A row and its copy, and a box that a safe fix clips: there is something to fix, and something to show."""
CODE = f"import os; os.system('touch {CANARY}')  # {CANARY}\n"
CALL = f"__import__('os').system('touch {CANARY}')"
EPS = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n({CANARY}) run\nshowpage\n%%EOF\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 99\n"


class Runs:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def plain(root: Path, yaml: str = "train: images/train\nval: images/val\nnames: [a, b]\n") -> None:
    """A dataset with a few flaws that the others are made of."""
    for split in ("train", "val"):
        for number in range(3):
            picture = Image.new("RGB", (64, 48), (40 * number, 90, 10))
            write(root / f"images/{split}/{number}.jpg", encoded(picture))
            write(root / f"labels/{split}/{number}.txt", FLAWED if number else GOOD)
    write(root / "data.yaml", yaml)


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))


def encoded(picture: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def download_key(root: Path, _outside: Path) -> None:
    plain(root, f"train: images/train\nval: images/val\nnames: [a, b]\ndownload: |\n  {CODE}")


def download_address(root: Path, _outside: Path) -> None:
    plain(root, "train: images/train\nval: images/val\nnames: [a, b]\ndownload: http://127.0.0.1:9/set.zip\n")


def python_tags(root: Path, _outside: Path) -> None:
    plain(
        root,
        f"train: images/train\nval: images/val\nnames: !!python/object/apply:os.system ['{CODE.strip()}']\n",
    )


def code_in_names(root: Path, _outside: Path) -> None:
    names = [CALL, f"{{0.__class__}}{CANARY}", f"=cmd|'/C {CANARY}'!A0"]
    plain(
        root, f"train: images/train\nval: images/val\nnames: {json.dumps(names)}\ntask: {json.dumps(CALL)}\n"
    )


def splits_elsewhere(root: Path, outside: Path) -> None:
    plain(
        root,
        f"path: {outside}\ntrain: images/train\nval: [../../outside, http://127.0.0.1:9/images]\nnames: [a]\n",
    )


def links(root: Path, outside: Path) -> None:
    plain(root)
    for name, target in (
        ("images/train/passwd.jpg", "/etc/passwd"),
        ("images/train/outside.jpg", outside / "secret.jpg"),
        ("labels/train/outside.txt", outside / "secret.txt"),
        ("labels/train/1.txt", outside / "secret.txt"),
        ("images/train/nowhere.jpg", "nowhere"),
        ("images/train/itself", "."),
        ("images/more", outside),
    ):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)


def pickles(root: Path, _outside: Path) -> None:
    plain(root)
    content = pickle.dumps(Runs())
    for name in ("labels/train.cache", "labels/val.cache", "images/train/0.npy", "labels/train/0.npy"):
        write(root / name, content)


def pipes(root: Path, _outside: Path) -> None:
    plain(root, "train: [images/train, train.txt]\nval: images/val\nnames: [a, b]\n")
    for name in ("images/train/p.jpg", "labels/train/p.txt", "labels/train/2.txt", "labels/val.cache"):
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)
    write(root / "train.txt", "./images/train/p.jpg\n")


def disguised_images(root: Path, _outside: Path) -> None:
    plain(root)
    pdf = f"%PDF-1.4\n{CANARY}\n%%EOF\n"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{CANARY}</script></svg>'
    contents = {"eps.jpg": EPS, "eps.png": EPS, "pdf.jpg": pdf, "svg.png": svg}
    contents["heic.jpg"] = "\0\0\0\x18ftypheic" + CANARY
    for name, content in contents.items():
        write(root / "images/train" / name, content)
        write(root / "labels/train" / f"{name[:-4]}.txt", FLAWED)


def pointers(root: Path, _outside: Path) -> None:
    plain(root)
    for name in ("images/train/0.jpg", "labels/train/1.txt", "labels/val/2.txt"):
        write(root / name, POINTER)


def configuration(root: Path, outside: Path) -> None:
    """A configuration that reaches out, beside a rule that is code."""
    plain(root)
    write(
        root / "sanitize.yaml", f"packs: [{outside}/pack.yaml, /dev/zero]\nbaseline: {outside}/secret.txt\n"
    )


def rule_with_code(root: Path, _outside: Path) -> None:
    plain(root)
    write(root / "sanitize.yaml", "packs: [pack.yaml]\n")
    for_rule = f"code: X001\nname: x\nscope: row\nseverity: error\nwhen: {json.dumps(CALL)}\nmessage: m\n"
    write(root / "pack.yaml", "rules:\n  - " + for_rule.replace("\n", "\n    "))


def modules(root: Path, _outside: Path) -> None:
    plain(root)
    for name in MODULE_NAMES:
        write(root / f"{name}.py", CODE)
    for name in ("PIL", "tqdm"):
        write(root / name / "__init__.py", CODE)


MODULE_NAMES = (
    *(
        "yaml",
        "numpy",
        "pandas",
        "torch",
        "ultralytics",
        "sanitize",
        "pyarrow",
        "platformdirs",
        "ray",
    ),
    *(
        "sitecustomize",
        "usercustomize",
        "argparse",
        "json",
        "csv",
        "multiprocessing",
        "dataclasses",
        "tempfile",
    ),
)


def journal(root: Path, outside: Path) -> None:
    """An unfinished run that plants a hook, and files of the journal that are links elsewhere."""
    plain(root)
    write(root / ".git/config", "")
    entry = {
        "path": ".git/hooks/pre-commit", "before": "", "after": None, "renamed_to": None, "mode": 0o755,
        "atime_ns": 0, "mtime_ns": 0, "derived": True,
    }  # fmt: skip
    from hashlib import sha256

    content = f"#!/bin/sh\ntouch {CANARY}\n".encode()
    entry["before"] = sha256(content).hexdigest()
    run = root / ".sanitize/runs/0001-20260101-000000"
    write(run / "run.json", json.dumps({"schema": 1, "entries": [entry]}))
    write(run / "blobs" / str(entry["before"]), content)
    (root / ".sanitize/.gitignore").symlink_to(outside / "secret.txt")


def odd_names(root: Path, _outside: Path) -> None:
    plain(root)
    for stem in (
        "--help",
        "-rf",
        "a\nb",
        "\x1b[31mred",
        "\u202egnp",
        "$(touch x)",
        "`id`",
        "%s%n",
        "'; --",
        "é" * 80,
    ):
        write(root / "images/train" / f"{stem}.jpg", encoded(Image.new("RGB", (32, 24))))
        write(root / "labels/train" / f"{stem}.txt", FLAWED)
    write(root / os.fsdecode(b"images/train/\xff.jpg"), encoded(Image.new("RGB", (32, 24))))


SETS: dict[str, Callable[[Path, Path], None]] = {
    make.__name__: make
    for make in (
        download_key, download_address, python_tags, code_in_names, splits_elsewhere, links, pickles, pipes,
        disguised_images, pointers, configuration, rule_with_code, modules, journal, odd_names,
    )
}  # fmt: skip
"""Name to what makes it, given the dataset's folder and one outside that must stay as it is."""


def packed(folder: Path) -> list[Path]:
    """Packed files: records that name addresses, members that lead out of any folder."""
    lines = [
        {"type": "dataset", "task": "detect", "class_names": {"0": CALL}, "url": "http://127.0.0.1:9/"},
        {"type": "image", "file": "../../a.jpg", "url": "http://127.0.0.1:9/a.jpg", "split": "train",
         "width": 64, "height": 48, "annotations": {"boxes": [[0, 0.5, 0.5, 0.4, 0.3]]}},
        {"type": "image", "file": "/etc/passwd", "url": "file:///etc/passwd", "split": "val", "annotations": {}},
    ]  # fmt: skip
    records = folder / "set.ndjson"
    write(records, "".join(json.dumps(line) + "\n" for line in lines))
    archive = folder / "train-000000.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("../../../up.jpg", "/abs.txt", "a.jpg", "a.txt", "a.pyd", "__init__.py"):
            info = tarfile.TarInfo(name)
            info.size = len(CODE)
            tar.addfile(info, io.BytesIO(CODE.encode()))
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"link{number}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    return [records, archive]
