"""Real sets packed into shards and NDJSON, for comparison with the loose files."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.finding import Finding


ZERO = b"0 0.5 0.5 0 0.2\n"
GOOD = b"0 0.5 0.5 0.2 0.2\n"


def picture(seed: int = 0, side: int = 40, kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def samples(n: int, label: bytes = GOOD, start: int = 0) -> list[tuple[str, bytes]]:
    return [
        member
        for i in range(start, start + n)
        for member in ((f"{i:06d}.jpg", picture(i)), (f"{i:06d}.txt", label))
    ]


def write_tar(
    path: Path, members: Iterable[tuple[str, bytes]], tar_format: int = tarfile.USTAR_FORMAT
) -> Path:
    """An archive of these members, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tar_format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def pack_samples(dataset: Dataset, folder: Path, per_shard: int) -> tuple[Path, dict[str, str]]:
    """WebDataset shards of a loose dataset: (data.yaml, path in the report of shards → that of loose files)."""
    moved: dict[str, str] = {}
    lines = []
    for split in dataset.splits:
        pairs = [(split.image_path(i), split.label_path(i)) for i in range(len(split))]
        name = split.name or "train"
        for number, start in enumerate(range(0, len(pairs), per_shard)):
            shard = f"{name}-{number:06d}.tar"
            members = []
            for i, pair in enumerate(pairs[start : start + per_shard], start):
                for path in filter(None, pair):
                    ending = path[path.rindex(".") :]
                    member = f"{i:06d}{ending}"
                    moved[f"{shard}/{member}"] = str(dataset.relative(path))
                    members.append((member, Path(path).read_bytes()))
            write_tar(folder / shard, members)
        last = (len(pairs) - 1) // per_shard
        lines.append(f"{name}: {name}-{{000000..{last:06d}}}.tar\n")
    return write_yaml(dataset, folder, lines), moved


def write_yaml(dataset: Dataset, folder: Path, lines: Iterable[str]) -> Path:
    """A data.yaml with the classes of the dataset and these split lines."""
    path = folder / "data.yaml"
    names = "".join(f"  {i}: '{name}'\n" for i, name in dataset.names.items())
    shape = f"kpt_shape: {list(dataset.kpt_shape)}\n" if any(dataset.kpt_shape) else ""
    task = f"task: {dataset.declared_task}\n" if dataset.declared_task else ""
    path.write_text("".join(lines) + (f"names:\n{names}" if names else f"nc: {dataset.nc}\n") + shape + task)
    return path


def comparable(findings: Iterable[Finding], moved: dict[str, str] | None = None) -> list[tuple[object, ...]]:
    """Findings as values that do not depend on where the files lie."""
    back = moved or {}

    def loose(text: str | None) -> str | None:
        for packed, path in back.items() if text and ".tar/" in text else ():
            text = text.replace(packed, path)
        return text

    return sorted(
        (
            f.rule, str(f.severity), f.split or "", back.get(f.image or "", f.image) or "",
            back.get(f.label or "", f.label) or "", f.line or 0, f.column or 0, f.class_id, f.x_center, f.value,
            f.threshold, loose(f.message),
        )
        for f in findings
    )  # fmt: skip


def folders_of(path: str) -> list[str]:
    """Names of the folders in a folder."""
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())


def write_ndjson(dataset: Dataset, path: Path, images: Path) -> dict[str, str]:
    """A dataset as Ultralytics' NDJSON, its images copied to `images`/<split>; (number of the record → its file).

    Rows that hold a token that is no number are left out: JSON has no place for them.
    """
    header = {
        "type": "dataset", "task": dataset.declared_task or "detect", "path": images.parent.name,
        "class_names": {str(i): name for i, name in dataset.names.items()},
    }  # fmt: skip
    if any(dataset.kpt_shape):
        header["kpt_shape"] = list(dataset.kpt_shape)
    lines, files = [json.dumps(header)], {}
    for split in dataset.splits:
        (images / split.name).mkdir(parents=True, exist_ok=True)
        for i in range(len(split)):
            image, label = split.image_path(i), split.label_path(i)
            if image is None:
                continue
            with Image.open(image) as opened:
                width, height = opened.size
            text = Path(label).read_text() if label else ""
            rows = [numbers for row in text.splitlines() if (numbers := _numbers(row))]
            name = os.path.basename(image)
            record = {
                "type": "image", "file": name, "split": split.name, "width": width, "height": height,
                "annotations": {"boxes": rows} if rows else {},
            }  # fmt: skip
            files[str(len(lines))] = name
            lines.append(json.dumps(record))
            (images / split.name / name).write_bytes(Path(image).read_bytes())
    path.write_text("".join(f"{line}\n" for line in lines))
    return files


def _numbers(row: str) -> list[float]:
    try:
        return [int(t) if t.isdigit() else float(t) for t in row.split()]
    except ValueError:
        return []


def padded(content: bytes, size: int) -> bytes:
    """A JPEG of that many bytes."""
    return content[:-2].ljust(size - 2, b"\0") + content[-2:]
