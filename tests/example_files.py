"""Builds the mini dataset that a rule's example describes: real files, so that any loader can read them.

An example is a mapping; see `Example` for its keys. By default there is a data.yaml with the names a, b, c, an
image images/train/example.jpg of 640x480 with its label, and a clean pair in the split val. In a semantic set, images
are of 64x48 and have a mask in place of a label; a classification set has the classes a and b and no data.yaml.
"""

from __future__ import annotations

import functools
import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import yaml

if TYPE_CHECKING:
    from PIL import Image

EXAMPLE_IMAGE = "images/train/example.jpg"
EXAMPLE_LABEL = "labels/train/example.txt"
CLEAN_IMAGE = "images/val/clean.jpg"
CLEAN_LABEL = "labels/val/clean.txt"

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a" * 16 + "\nsize 132735\n"
FORMATS = {"jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP", "tiff": "TIFF", "gif": "GIF"}
FORMAT_OF_ENDING = {".jpg": "jpeg", ".tif": "tiff"} | {f".{name}": name for name in FORMATS}
FLAGS = {"truncated", "tail", "exif6", "gray", "rgba", "16bit", "empty", "text", "lfs"}
EXIF_ORIENTATION = 0x0112


class Example(TypedDict, total=False):
    """Keys of an example. `files` maps a relative path to text, or to one of {image: SPEC}, {mask: SPEC}, {copy: PATH},
    {rows: TEXT}, {bytes: LATIN-1 TEXT}, {link: TARGET}.
    """

    about: str
    rows: str  # text of the example label; a final newline is added
    bytes: str  # content of the example label, written latin-1 as it stands
    label: str  # "none": there is no example label
    image: str  # SPEC of the example image
    task: str
    names: list[str]
    kpt_shape: list[int]
    yaml: str  # the whole data.yaml
    files: dict[str, Any]
    remove: list[str]
    copies: dict[str, dict[str, int]]  # folder to {"images": number of further pictures in it}
    lines: list[int]  # where the rule must fire, exactly
    training: str  # what training does with it, where it is not what the rule says
    images: str  # header | decode


KEYS = frozenset(Example.__annotations__)


def build(example: Mapping[str, Any], folder: Path, tasks: tuple[str, ...] = ("detect",)) -> Path:
    """Write the example's files into a folder.

    Args:
        example: As `Example` says.
        folder: Empty or not there yet.
        tasks: Those of the rule; an example that names no task is a detect set if the rule has that.

    Returns:
        Path of the data.yaml; of the folder, where there is none.
    """
    unknown = set(example) - KEYS
    if unknown:
        raise ValueError(f"unknown example keys: {', '.join(sorted(unknown))}")
    files = _default_files(example, task_of(example, tasks))
    for path in example.get("remove", ()):
        del files[path]
    files.update(example.get("files", {}))
    for place, more in example.get("copies", {}).items():
        pictures = range(more["images"])
        files.update({f"{place}/more{i}.png": {"image": f"16x16 seed={i}"} for i in pictures})
    # Copies and links last: they need what they refer to.
    for path in sorted(
        files, key=lambda p: isinstance(files[p], Mapping) and bool({"copy", "link"} & set(files[p]))
    ):
        _write(folder, path, files[path])
    return folder / "data.yaml" if "data.yaml" in files else folder


def task_of(example: Mapping[str, Any], tasks: tuple[str, ...] = ("detect",)) -> str:
    """The task that an example is for."""
    return str(example.get("task") or ("detect" if "detect" in tasks else tasks[0]))


def _default_files(example: Mapping[str, Any], task: str) -> dict[str, Any]:
    if task == "classify":
        names = ("train/a/example", "train/b/example", "val/a/clean", "val/b/clean")
        images: dict[str, Any] = {f"{name}.jpg": {"image": "64x48"} for name in names}
        return images | ({"data.yaml": example["yaml"]} if "yaml" in example else {})
    if task == "semantic":
        paired: dict[str, Any] = {path: {"image": "64x48"} for path in (EXAMPLE_IMAGE, CLEAN_IMAGE)}
        masks = {
            p.replace("images", "masks").replace(".jpg", ".png"): {"mask": "64x48 ids=0,1"} for p in paired
        }
        return paired | masks | {"data.yaml": example.get("yaml") or _data_yaml(example, task, None)}
    kpt_shape = example.get("kpt_shape") or ([3, 3] if task == "pose" else None)
    files: dict[str, Any] = {
        "data.yaml": example.get("yaml") or _data_yaml(example, task, kpt_shape),
        EXAMPLE_IMAGE: {"image": example.get("image", "640x480")},
        CLEAN_IMAGE: {"image": "640x480"},
        CLEAN_LABEL: {"rows": _clean_row(task, kpt_shape)},
    }
    if "bytes" in example:
        files[EXAMPLE_LABEL] = {"bytes": example["bytes"]}
    elif example.get("label", "") not in (None, "none"):
        files[EXAMPLE_LABEL] = {"rows": example.get("rows", _clean_row(task, kpt_shape))}
    return files


def _data_yaml(example: Mapping[str, Any], task: str, kpt_shape: list[int] | None) -> str:
    content: dict[str, Any] = {"train": "images/train", "val": "images/val"}
    if task != "detect":
        content["task"] = task
    if task == "semantic":
        content["masks_dir"] = "masks"
    if kpt_shape:
        content["kpt_shape"] = list(kpt_shape)
    content["names"] = list(example.get("names", ["a", "b", "c"]))
    return yaml.safe_dump(content, sort_keys=False)


def _clean_row(task: str, kpt_shape: list[int] | None) -> str:
    """A row that nothing is wrong with."""
    box = "0 0.5 0.5 0.4 0.3"
    if task == "segment":
        return "0 0.3 0.35 0.7 0.35 0.7 0.65 0.5 0.7 0.3 0.65"
    if task == "obb":
        return "0 0.3 0.35 0.7 0.35 0.7 0.65 0.3 0.65"
    if task == "pose" and kpt_shape:
        keypoints = [
            f"{0.4 + 0.2 * i / kpt_shape[0]:.4f} 0.5" + " 2" * (kpt_shape[1] == 3)
            for i in range(kpt_shape[0])
        ]
        return " ".join([box, *keypoints])
    return box


def _write(folder: Path, path: str, content: object) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        target.write_bytes(content.encode())
        return
    assert isinstance(content, Mapping) and len(content) == 1, f"{path}: {content!r}"
    ((kind, value),) = content.items()
    if kind == "link":
        os.symlink(value, target)
    elif kind == "image":
        target.write_bytes(image_bytes(value, path))
    elif kind == "mask":
        target.write_bytes(mask_bytes(value))
    elif kind == "copy":
        target.write_bytes((folder / value).read_bytes())
    elif kind == "rows":
        target.write_bytes(f"{value}\n".encode())
    elif kind == "bytes":
        target.write_bytes(value.encode("latin-1"))
    else:
        raise ValueError(f"{path}: no file can be made of {kind!r}")


@functools.lru_cache(maxsize=256)  # making a picture takes as long as scanning a small dataset
def image_bytes(spec: str, path: str) -> bytes:
    """Content of an image file.

    Args:
        spec: "640x480 [jpeg|png|bmp|webp|tiff|gif] [seed=N] [quality=N]" and any of `FLAGS`. One seed is one
            picture in any size and format; without one it follows from the path, as the format does.
        path: The file's name, whose ending need not fit.
    """
    words = spec.split()
    flags = FLAGS.intersection(words)
    if "empty" in flags:
        return b""
    if "text" in flags:
        return b"this is no image\n" * 40
    if "lfs" in flags:
        return LFS_POINTER.encode()
    options = dict(w.split("=") for w in words if "=" in w)
    sizes = [w for w in words if w.replace("x", "").isdigit() and "x" in w]
    names = [w for w in words if w in FORMATS]
    unknown = set(words) - flags - set(sizes) - set(names) - {w for w in words if "=" in w}
    if unknown or set(options) - {"seed", "quality"} or len(sizes) != 1 or len(names) > 1:
        raise ValueError(f"{path}: {spec!r} describes no image")
    width, height = map(int, sizes[0].split("x"))
    name = names[0] if names else FORMAT_OF_ENDING.get(Path(path).suffix.lower(), "jpeg")
    picture = _picture(width, height, int(options.get("seed", zlib.crc32(path.encode()))), flags)
    content = _encoded(picture, name, flags, int(options.get("quality", 90)))
    if "truncated" in flags:
        content = content[: len(content) // 2]
    return content + (b"\0\0" if "tail" in flags else b"")


def mask_bytes(spec: str) -> bytes:
    """Content of a mask: "64x48 ids=0,1 [16bit|1bit|rgb|red|palette|jpeg]", vertical stripes of the ids."""
    from PIL import Image

    size, ids, *form = spec.split()
    width, height = map(int, size.split("x"))
    values = np.array([int(n) for n in ids.removeprefix("ids=").split(",")], np.uint16)
    wide = np.repeat(values[np.arange(width) * len(values) // width][None], height, axis=0)
    mask = Image.fromarray(wide if "16bit" in form else wide.astype(np.uint8))
    if "1bit" in form:
        mask = Image.fromarray((wide > 0).astype(np.uint8) * 255).convert("1")
    elif "rgb" in form:
        mask = Image.merge("RGB", [mask] * 3)
    elif "red" in form:
        mask = Image.merge("RGB", [mask, Image.new("L", mask.size), Image.new("L", mask.size)])
    elif "palette" in form:
        mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    buffer = io.BytesIO()
    mask.save(buffer, "JPEG" if "jpeg" in form else "PNG")
    return buffer.getvalue()


def _picture(width: int, height: int, seed: int, flags: set[str]) -> Image.Image:
    """Soft blobs of colour under a little noise: what the blobs look like depends on the seed alone."""
    from PIL import Image

    blobs = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    soft = Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed + 1).integers(-6, 7, (height, width, 3), dtype=np.int8)
    picture = Image.fromarray(np.clip(np.int16(soft) + noise, 0, 255).astype(np.uint8))
    if "16bit" in flags:
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    if "gray" in flags:
        return picture.convert("L")
    return picture.convert("RGBA") if "rgba" in flags else picture


def _encoded(picture: Image.Image, name: str, flags: set[str], quality: int) -> bytes:
    from PIL import Image

    options: dict[str, Any] = {"quality": quality} if name in ("jpeg", "webp") else {}
    if "exif6" in flags:
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = 6
        options["exif"] = exif.tobytes() if name != "tiff" else exif
    buffer = io.BytesIO()
    picture.save(buffer, FORMATS[name], **options)
    return buffer.getvalue()
