"""A small harbour dataset made by code, with the flaws that real datasets have: what `sanitize demo` scans."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

WIDTH_PX, HEIGHT_PX = 320, 240
CLASS_NAMES = ("boat", "buoy", "crate")
SIZES_PX = {"boat": (84, 60), "buoy": (30, 34), "crate": (40, 36)}
N_TRAIN, N_VAL = 20, 8
JPEG_QUALITY = 88

DATA_YAML = """\
# Boats, buoys and crates, photographed from a pier. Made by `sanitize demo`; the flaws are on purpose.
train: images/train
val: images/val
names:
  0: boat
  1: buoy
  2: crate
"""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object in a picture: pixels, left upper corner and size."""

    name: str
    left: int
    top: int
    width: int
    height: int

    def row(self) -> str:
        """Its label row, as it should be."""
        x = (self.left + self.width / 2) / WIDTH_PX
        y = (self.top + self.height / 2) / HEIGHT_PX
        size = f"{self.width / WIDTH_PX:.6f} {self.height / HEIGHT_PX:.6f}"
        return f"{CLASS_NAMES.index(self.name)} {x:.6f} {y:.6f} {size}"


def make_demo(folder: str) -> str:
    """Write the dataset into a folder and return the path of its data.yaml. The same bytes on every call.

    Raises:
        FileExistsError: The folder is there and not empty: nobody's files are written over.
        OSError: It cannot be written.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        raise FileExistsError(f"{folder} is not empty: the demo dataset needs a folder of its own")
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            os.makedirs(join_path(folder, kind, split))
    for number in range(1, N_TRAIN + N_VAL + 1):
        _write_pair(folder, number)
    _write(folder, "labels", "train", "harbour_29.txt", b"0 0.421875 0.612500 0.262500 0.250000\n")  # orphan
    path = join_path(folder, "data.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(DATA_YAML)
    return path


def _write_pair(folder: str, number: int) -> None:
    """One image and its label file, with the flaws planned for this number."""
    split = "train" if number <= N_TRAIN else "val"
    scene = SAME_PICTURE.get(number, number)
    things, picture = _scene(scene)
    encode = IMAGE_FLAWS.get(number, _jpeg)
    _write(folder, "images", split, f"harbour_{number:02}.jpg", encode(picture))
    rows: list[str] | None = [thing.row() for thing in things]
    if number in LABEL_FLAWS:
        rows = LABEL_FLAWS[number]([thing.row() for thing in things])
    if rows is not None:
        _write(folder, "labels", split, f"harbour_{number:02}.txt", "".join(f"{r}\n" for r in rows).encode())


def _write(folder: str, kind: str, split: str, name: str, content: bytes) -> None:
    with open(join_path(folder, kind, split, name), "wb") as f:
        f.write(content)


# Flaws of label files: a function from the right rows to what is written, None for no file at all.


def _columns(row: str) -> tuple[int, float, float, float, float]:
    class_id, *box = row.split()
    x, y, w, h = map(float, box)
    return int(class_id), x, y, w, h


def _in_pixels(row: str) -> str:
    class_id, x, y, w, h = _columns(row)
    return f"{class_id} {x * WIDTH_PX:.1f} {y * HEIGHT_PX:.1f} {w * WIDTH_PX:.1f} {h * HEIGHT_PX:.1f}"


def _as_corners(row: str) -> str:
    class_id, x, y, w, h = _columns(row)
    return f"{class_id} {x - w / 2:.6f} {y - h / 2:.6f} {x + w / 2:.6f} {y + h / 2:.6f}"


def _as_polygon(row: str) -> str:
    class_id, x, y, w, h = _columns(row)
    left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return f"{class_id} {x:.6f} {top:.6f} {right:.6f} {bottom:.6f} {left:.6f} {bottom:.6f}"


def _nudged(row: str) -> str:
    class_id, x, y, w, h = _columns(row)
    return f"{class_id} {x + 0.0009:.6f} {y - 0.0008:.6f} {w:.6f} {h:.6f}"


def _with_class(row: str, class_id: object) -> str:
    return f"{class_id} {row.partition(' ')[2]}"


def _first(change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    """The same change to the first row only."""
    return lambda rows: [change(rows[0]), *rows[1:]]


LABEL_FLAWS: dict[int, Callable[[list[str]], list[str] | None]] = {
    2: lambda rows: [*rows, "2 0.500000 0.940000 0.980000 0.020833"],  # the edge of the pier: 63:1
    3: lambda rows: [*rows, "1 0.655000 0.541667 0.000000 0.000000"],  # a click instead of a drag
    4: lambda rows: [*rows, "0 0.950000 0.700000 0.262500 0.250000"],  # half out of the picture
    5: _first(lambda row: _with_class(row, 3)),
    6: _first(lambda row: _with_class(row, "boat")),
    7: lambda rows: [*rows, rows[1]],
    8: lambda rows: [*rows, _nudged(rows[0])],
    9: lambda rows: [*rows, _with_class(rows[0], 2)],
    10: lambda rows: [_in_pixels(row) for row in rows],
    11: lambda rows: None,
    12: lambda rows: [],
    13: lambda rows: [row.replace(" ", ",") for row in rows],
    14: lambda rows: [*rows, "1 nan nan nan nan"],
    15: lambda rows: [*rows[:-1], _as_polygon(rows[-1])],
    19: lambda rows: [*rows, "0 0.500000 0.500000 1.000000 1.000000"],
    21: lambda rows: [*rows, "2 0.118750 0.845833 0.004000 0.005000"],  # one pixel
    24: lambda rows: [_as_corners(row) for row in rows],
    25: lambda rows: [*rows, "0 1.043750 0.687500 0.262500 0.250000"],
    26: lambda rows: [*rows, "1 0.300000 0.800000 -0.093750 0.141667"],
    27: lambda rows: [*rows, "1 0.300000 0.800000 0.093750"],
}

SAME_PICTURE = {22: 1}
"""A picture of the training set that turns up again among the validation images."""


# Flaws of image files: a function from the picture to the bytes that are written.


def _jpeg(picture: Image.Image, **options: object) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, **options)
    return buffer.getvalue()


def _png(picture: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _turned_by_exif(picture: Image.Image) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return _jpeg(picture, exif=exif)


def _cut_off(picture: Image.Image) -> bytes:
    content = _jpeg(picture)
    return content[: len(content) * 3 // 5]


IMAGE_FLAWS: dict[int, Callable[[Image.Image], bytes]] = {
    16: _cut_off,
    17: lambda picture: _jpeg(picture) + b"\0\0",
    18: _png,
    23: _turned_by_exif,
}


# The pictures.


def _scene(number: int) -> tuple[list[Thing], Image.Image]:
    """What floats in picture `number`, and the picture: water under a sky, lit differently each time."""
    from PIL import Image, ImageDraw

    random = np.random.default_rng(1000 + number)
    horizon = int(random.integers(40, 90))
    things = _things(random, horizon)
    picture = Image.fromarray(_sea(random, horizon))
    pen = ImageDraw.Draw(picture)
    for thing in things:
        DRAW[thing.name](pen, thing, random)
    return things, picture


def _things(random: np.random.Generator, horizon: int) -> list[Thing]:
    """Three or four objects side by side, each in its own strip so that none hides another."""
    n = int(random.integers(3, 5))
    strip = WIDTH_PX // n
    names = ["boat", *random.choice(CLASS_NAMES, n - 1, p=(0.25, 0.4, 0.35))]
    things = []
    for k, name in enumerate(names):
        scale = random.uniform(0.75, min(1.2, strip / 88))
        width, height = (int(side * scale) for side in SIZES_PX[str(name)])
        left = k * strip + int(random.integers(1, max(2, strip - width)))
        top = int(random.integers(horizon, HEIGHT_PX - height - 4))
        things.append(Thing(str(name), left, top, width, height))
    return things


def _sea(random: np.random.Generator, horizon: int) -> NDArray[np.uint8]:
    """uint8 (HEIGHT_PX, WIDTH_PX, 3): sky above, rippled water below, light from a random side."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float64)
    hue = random.uniform(-30, 30, 3)
    sky = np.array([150, 190, 225]) + hue + 60 * ((horizon - y) / horizon)[..., None] * random.uniform(-1, 1)
    depth = np.clip((y - horizon) / (HEIGHT_PX - horizon), 0, 1)
    water = np.array([40, 95, 125]) + hue + 50 * (1 - depth)[..., None]
    for _ in range(4):
        frequency, angle, phase = random.uniform(0.05, 0.4), random.uniform(-0.3, 0.3), random.uniform(0, 6)
        water += 9 * np.sin(frequency * (y + angle * x) * (1.6 - depth) + phase)[..., None]
    shade = np.where(y < horizon, 0, 1)[..., None]
    light = 35 * random.uniform(-1, 1) * (x / WIDTH_PX - 0.5) + 30 * random.uniform(-1, 1) * np.sin(
        x / random.uniform(25, 90) + random.uniform(0, 6)
    )
    pixels = sky * (1 - shade) + water * shade + light[..., None] + random.normal(0, 4, y.shape)[..., None]
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def _draw_boat(pen: ImageDraw.ImageDraw, boat: Thing, random: np.random.Generator) -> None:
    right, bottom = boat.left + boat.width - 1, boat.top + boat.height - 1
    deck = bottom - boat.height // 3
    mast = boat.left + boat.width // 2
    hull = ((200, 60, 50), (245, 245, 240), (30, 60, 110))[int(random.integers(3))]
    inset = boat.width // 6
    pen.polygon(
        [(boat.left, deck), (right, deck), (right - inset, bottom), (boat.left + inset, bottom)], hull
    )
    pen.polygon([(mast, boat.top), (right - inset, deck - 3), (mast, deck - 3)], (250, 248, 235))
    pen.line([(mast, boat.top), (mast, deck)], (90, 60, 40), 2)


def _draw_buoy(pen: ImageDraw.ImageDraw, buoy: Thing, random: np.random.Generator) -> None:
    right, bottom = buoy.left + buoy.width - 1, buoy.top + buoy.height - 1
    pen.ellipse([buoy.left, buoy.top, right, bottom], (240, int(random.integers(90, 150)), 30))
    middle = buoy.top + buoy.height // 2
    pen.rectangle([buoy.left + 3, middle - 3, right - 3, middle + 3], (250, 250, 245))


def _draw_crate(pen: ImageDraw.ImageDraw, crate: Thing, random: np.random.Generator) -> None:
    right, bottom = crate.left + crate.width - 1, crate.top + crate.height - 1
    wood = int(random.integers(120, 170))
    box = [crate.left, crate.top, right, bottom]
    pen.rectangle(box, (wood, wood * 2 // 3, wood // 3), (70, 45, 25), 3)
    pen.line([(crate.left, crate.top), (right, bottom)], (70, 45, 25), 3)


DRAW = {"boat": _draw_boat, "buoy": _draw_buoy, "crate": _draw_crate}
