"""CVAT: an archive in its format "CVAT for images 1.1", with the flagged images and the findings as attributes.

Format: docs.cvat.ai/docs/manual/advanced/formats/format-cvat and docs.cvat.ai/docs/other/xml_format. A box carries
its findings in the attribute `finding`; what concerns the whole image is in a tag.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from typing import IO, TYPE_CHECKING, Any

from sanitizer.reports.annotators.colours import class_colour
from sanitizer.reports.annotators.flagged import Exported, Flagged, Rectangle
from sanitizer.reports.common import plain
from sanitizer.util.atomic import open_atomically
from sanitizer.util.bounded_read import MIB, as_size, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sanitizer.reports.annotators.flagged import ClassLabels, FlaggedImage, Shape

ATTRIBUTE = "finding"
"""Name of the attribute, on every label, that holds findings in words."""

MAX_IMAGE_BYTES = 512 * MIB
"""Of an image that is copied: a sparse file of terabytes may begin as an image does."""

_UNPORTABLE = re.compile(r"[\\:\x00-\x1f\x7f]")
"""What would lead out of the folder on another system, or what XML cannot hold."""

_EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
_SPOOL_BYTES = 1 << 24
_COPY_BYTES = 1 << 20


def write(flagged: Flagged, path: str) -> Exported:
    """Write the archive to `path`, or where it ends in .xml the annotations alone; labels beside it as JSON.

    Images are copied one at a time, and annotations wait in a temporary file until all classes are known.

    Raises:
        ExportError: Not one image can be read.
        OSError: A file cannot be written.
    """
    labels_path = f"{os.path.splitext(path)[0]}.labels.json"
    tag = flagged.labels.free(ATTRIBUTE)
    left_out: list[str] = []
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as body, open_atomically(path) as file:
        if path.lower().endswith(".xml"):
            images = sum(
                _append(body, image, name, tag, n) for n, (image, name) in enumerate(_named(flagged))
            )
            _write_document(file, body, images, _labels(flagged.labels, tag))
        else:
            with zipfile.ZipFile(file, "w") as archive:
                images = 0
                for image, name in _named(flagged):
                    try:
                        _copy_image(archive, image, name)
                    except _UnreadableError as error:
                        left_out.append(f"{image.source}: {error}")
                        continue
                    images += _append(body, image, name, tag, images)
                entry = zipfile.ZipInfo("annotations.xml", _EARLIEST_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as document:
                    _write_document(document, body, images, _labels(flagged.labels, tag))
        flagged.require(images)
        with open_atomically(labels_path) as labels:
            text = json.dumps(_labels(flagged.labels, tag), indent=1, ensure_ascii=False)
            labels.write(text.encode())
    how = (
        "upload it as a task's annotations"
        if path.lower().endswith(".xml")
        else "import it as a dataset of the project"
    )
    hint = f"in CVAT, make a project with the labels of {labels_path} (tab Raw), then {how}, format CVAT 1.1"
    return Exported((path, labels_path), images, [*flagged.left_out, *left_out], [hint])


class _UnreadableError(Exception):
    """An image that cannot be copied; the text says why."""


def _named(flagged: Flagged) -> Iterator[tuple[FlaggedImage, str]]:
    """Each image with a name that is safe in an archive and in XML, and given once."""
    taken = set()
    for image in flagged:
        plain_name = _UNPORTABLE.sub("_", plain(image.name))
        stem, ending = os.path.splitext(plain_name)
        name, n = plain_name, 1
        while name in taken:
            n += 1
            name = f"{stem}_{n}{ending}"
        taken.add(name)
        yield image, name


def _copy_image(archive: zipfile.ZipFile, image: FlaggedImage, name: str) -> None:
    """Put the image's bytes into the archive; _UnreadableError, before anything was written, where there are none."""
    try:
        source = open_regular(image.path)
    except (OSError, ValueError) as error:
        raise _UnreadableError(getattr(error, "strerror", None) or str(error)) from error
    with source:
        size = os.fstat(source.fileno()).st_size
        if size > MAX_IMAGE_BYTES:
            raise _UnreadableError(
                f"has {as_size(size)}, and no image over {as_size(MAX_IMAGE_BYTES)} is copied"
            )
        entry = zipfile.ZipInfo(f"images/{name}", _EARLIEST_TIME)
        entry.file_size = size
        with archive.open(entry, "w") as target:
            left = size  # a file that grows meanwhile ends where it did
            while left > 0 and (part := source.read(min(left, _COPY_BYTES))):
                target.write(part)
                left -= len(part)


def _append(body: IO[bytes], image: FlaggedImage, name: str, tag: str, number: int) -> bool:
    """Write one image's element; True, so that images can be counted."""
    element = ElementTree.Element(
        "image",
        {"id": str(number), "name": name, "width": str(image.width), "height": str(image.height)},
    )
    for shape in image.shapes:
        _add_shape(element, shape)
    _add_attribute(ElementTree.SubElement(element, "tag", {"label": tag, "source": "manual"}), image.note)
    ElementTree.indent(element)
    body.write(ElementTree.tostring(element, encoding="utf-8", xml_declaration=False) + b"\n")
    return True


def _add_shape(image: ElementTree.Element, shape: Shape) -> None:
    """The row's outline and its keypoints, held together as a group."""
    common = {
        "label": plain(shape.label),
        "source": "manual",
        "occluded": "0",
        "z_order": "0",
        **({"group_id": str(shape.line)} if shape.keypoints else {}),
    }
    outline = shape.outline
    if isinstance(outline, Rectangle):
        xs = (outline.x_center - outline.width / 2, outline.x_center + outline.width / 2)
        ys = (outline.y_center - outline.height / 2, outline.y_center + outline.height / 2)
        place = {"xtl": _px(xs[0]), "ytl": _px(ys[0]), "xbr": _px(xs[1]), "ybr": _px(ys[1])}
        if outline.rotation_deg:
            place["rotation"] = f"{outline.rotation_deg:.6f}"
        element = ElementTree.SubElement(image, "box", common | place)
    else:
        points = _points(outline.points.tolist())
        element = ElementTree.SubElement(image, "polygon", common | {"points": points})
    _add_attribute(element, shape.note)
    if shape.keypoints:
        points = _points([[k.x, k.y] for k in shape.keypoints])
        _add_attribute(ElementTree.SubElement(image, "points", common | {"points": points}), "")


def _add_attribute(element: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(element, "attribute", {"name": ATTRIBUTE}).text = plain(text)


def _points(points: Sequence[Sequence[float]]) -> str:
    return ";".join(f"{_px(x)},{_px(y)}" for x, y in points)


def _px(pixels: float) -> str:
    return f"{pixels:.4f}"


def _labels(labels: ClassLabels, tag: str) -> list[dict[str, Any]]:
    """The labels as CVAT's raw editor takes them: classes, and one for tags on whole images."""
    names = [(labels.by_class[cls], "any") for cls in sorted(labels.by_class)] + [(tag, "tag")]
    return [
        {
            "name": plain(name),
            "color": class_colour(i),
            "type": kind,
            "attributes": [
                {
                    "name": ATTRIBUTE,
                    "mutable": False,
                    "input_type": "text",
                    "default_value": "",
                    "values": [""],
                }
            ],
        }
        for i, (name, kind) in enumerate(names)
    ]


def _write_document(
    file: IO[bytes], body: IO[bytes], n_images: int, labels: Sequence[dict[str, Any]]
) -> None:
    """The whole annotations.xml: what the task is, then the images of `body`."""
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    for key, text in (("name", "sanitize"), ("size", str(n_images)), ("mode", "annotation")):
        ElementTree.SubElement(task, key).text = text
    of_labels = ElementTree.SubElement(task, "labels")
    for label in labels:
        element = ElementTree.SubElement(of_labels, "label")
        for key in ("name", "color", "type"):
            ElementTree.SubElement(element, key).text = label[key]
        attribute = ElementTree.SubElement(ElementTree.SubElement(element, "attributes"), "attribute")
        for key, text in (("name", ATTRIBUTE), ("mutable", "False"), ("input_type", "text")):
            ElementTree.SubElement(attribute, key).text = text
        for key in ("default_value", "values"):
            ElementTree.SubElement(attribute, key).text = ""
    ElementTree.indent(meta)
    head = ElementTree.tostring(meta, encoding="utf-8", xml_declaration=False)
    file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
    file.write(head + b"\n")
    body.seek(0)
    shutil.copyfileobj(body, file, _COPY_BYTES)
    file.write(b"</annotations>\n")
