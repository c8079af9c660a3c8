"""Tar shards of synthetic samples, made by templates: hundreds of thousands of samples a second."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

PER_SHARD = 10_000
BLOCK = 512
IMAGE_BLOCKS = 2
SAMPLE_BYTES = BLOCK * (1 + IMAGE_BLOCKS + 1 + 1)
MOST_BOXES = 12
CLASSES = 80
ROW = b"00 0.000000 0.000000 0.000000 0.000000\n"
NAME_DIGITS = 10
FLAWS = ("B002", "C001", "B003", "B007", "L003", "L007")
"""Rule that each flaw must be reported under, and no other."""
_COLUMNS = (3, 12, 21, 30)
"""Where x, y, width and height start in a row."""


def write_shards(folder: Path, samples: int, flawed: float = 0.01) -> Counter[str]:
    """Write shards of `PER_SHARD` samples and a data.yaml; return how many findings each rule must have.

    `flawed` is the share of labels with a flaw.
    """
    folder.mkdir(parents=True, exist_ok=True)
    planted: Counter[str] = Counter()
    n_shards = -(-samples // PER_SHARD)
    for number in range(n_shards):
        first = number * PER_SHARD
        shard, found = shard_bytes(first, min(PER_SHARD, samples - first), flawed)
        planted.update(found)
        with (folder / f"train-{number:06d}.tar").open("wb") as file:
            file.write(shard.data)
            file.write(bytes(2 * BLOCK))
    names = "".join(f"  {i}: class_{i}\n" for i in range(CLASSES))
    half = n_shards // 2  # both must be there; nothing depends on which is which
    val = f"val: train-{{{half:06d}..{n_shards - 1:06d}}}.tar\n" if half else "val: train-000000.tar\n"
    train = f"train: train-{{000000..{max(half - 1, 0):06d}}}.tar\n"
    (folder / "data.yaml").write_text(f"{train}{val}names:\n{names}")
    return Counter(dict(sorted(planted.items())))


def shard_bytes(first: int, n: int, flawed: float) -> tuple[Bytes, Counter[str]]:
    """(uint8 (n, SAMPLE_BYTES), findings by rule) of samples numbered from `first`."""
    random = np.random.default_rng((20_251_126, first))
    shard = np.zeros((n, SAMPLE_BYTES), np.uint8)
    digits = _digits(np.arange(first, first + n), NAME_DIGITS)
    image, number_at = _image()
    image_at, label_header_at, label_at = BLOCK, BLOCK * (1 + IMAGE_BLOCKS), BLOCK * (2 + IMAGE_BLOCKS)
    shard[:, image_at : image_at + len(image)] = image
    shard[:, image_at + number_at : image_at + number_at + NAME_DIGITS] = digits
    rows, sizes, planted = _labels(random, n, flawed)
    shard[:, label_at : label_at + rows.shape[1]] = rows
    _header(shard[:, :BLOCK], digits, b".jpg", np.full(n, len(image)))
    _header(shard[:, label_header_at : label_header_at + BLOCK], digits, b".txt", sizes)
    return shard, planted


def _labels(
    random: np.random.Generator, n: int, flawed: float
) -> tuple[Bytes, NDArray[np.int64], Counter[str]]:
    """(uint8 (n, bytes) label texts padded with zeros, int64 (n,) their lengths, findings by rule)."""
    counts = random.integers(2, MOST_BOXES + 1, n)
    rows = np.empty((n, MOST_BOXES, len(ROW)), np.uint8)
    rows[:] = np.frombuffer(ROW, np.uint8)
    rows[:, :, :2] = _digits(random.integers(0, CLASSES, (n, MOST_BOXES)), 2)
    # Twelve cells of a grid, one box in each: no two alike, none outside.
    cell = random.permuted(np.tile(np.arange(MOST_BOXES), (n, 1)), axis=1)
    x = 125_000 + 250_000 * (cell % 4) + random.integers(-40_000, 40_000, cell.shape)
    y = 166_000 + 333_000 * (cell // 4) + random.integers(-60_000, 60_000, cell.shape)
    w, h = random.integers(60_000, 160_000, (2, *cell.shape))
    for column, values in zip(_COLUMNS, (x, y, w, h), strict=True):
        rows[:, :, column + 2 : column + 8] = _digits(values, 6)
    sizes = counts * len(ROW)
    planted = _plant(random, rows, sizes, flawed)
    text = rows.reshape(n, -1)
    text[np.arange(text.shape[1]) >= sizes[:, None]] = 0
    return text, sizes, planted


def _plant(random: np.random.Generator, rows: Bytes, sizes: NDArray[np.int64], flawed: float) -> Counter[str]:
    """Spoil the first rows of some labels, each in one way."""
    spoilt = np.flatnonzero(random.random(len(rows)) < flawed)
    kinds = random.integers(0, len(FLAWS), len(spoilt))
    b002, c001, b003, b007, l003, l007 = (spoilt[kinds == k] for k in range(len(FLAWS)))
    rows[b002, 0, _COLUMNS[2] + 2 : _COLUMNS[2] + 8] = ord("0")
    rows[c001, 0, :2] = np.frombuffer(b"99", np.uint8)
    rows[b003, 0, _COLUMNS[0] : _COLUMNS[0] + 8] = np.frombuffer(b"1.500000", np.uint8)
    rows[b007, 1] = rows[b007, 0]
    rows[l003, 0, _COLUMNS[1] + 3] = ord("x")
    rows[l007, 0, 0], sizes[l007] = ord("\n"), 1  # every label has its block, so it cannot be empty
    return Counter({code: int((kinds == k).sum()) for k, code in enumerate(FLAWS) if (kinds == k).any()})


def _digits(numbers: NDArray[Any], width: int) -> Bytes:
    """uint8 (…, width): decimal digits in ASCII, with leading zeros."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (np.asarray(numbers)[..., None] // powers % 10 + ord("0")).astype(np.uint8)


def _header(headers: Bytes, digits: Bytes, ending: bytes, sizes: NDArray[np.int64]) -> None:
    """Fill ustar headers (POSIX.1-1988) for files called by their number."""
    n = len(headers)
    headers[:, :NAME_DIGITS] = digits
    headers[:, NAME_DIGITS : NAME_DIGITS + len(ending)] = np.frombuffer(ending, np.uint8)
    fixed = b"0000644\0" + b"0000000\0" * 2 + b"0" * 11 + b"\0" + b"00000000000\0" + b" " * 8 + b"0"
    headers[:, 100 : 100 + len(fixed)] = np.frombuffer(fixed, np.uint8)
    headers[:, 257:265] = np.frombuffer(b"ustar\x0000", np.uint8)
    headers[:, 124:135] = _octal(sizes, 11)
    headers[:, 148:154] = _octal(headers.reshape(n, -1).sum(axis=1, dtype=np.int64), 6)
    headers[:, 154] = 0


def _octal(numbers: NDArray[np.int64], width: int) -> Bytes:
    powers = 8 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // powers % 8 + ord("0")).astype(np.uint8)


def _image() -> tuple[Bytes, int]:
    """(bytes of a JPEG without its scan, where a number stands in its comment)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (640, 480)).save(buffer, "JPEG", quality=75)
    content = buffer.getvalue()
    scan = content.index(b"\xff\xda")
    scan_end = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    comment = b"\xff\xfe" + (2 + NAME_DIGITS).to_bytes(2, "big") + b"0" * NAME_DIGITS
    image = content[:2] + comment + content[2:scan_end] + b"\xff\xd9"
    if len(image) > IMAGE_BLOCKS * BLOCK:
        raise ValueError(f"the image has {len(image)} bytes, over {IMAGE_BLOCKS * BLOCK}")
    return np.frombuffer(image, np.uint8), 6
