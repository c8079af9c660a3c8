"""Label Studio: one task a flagged image, its label rows as pre-annotations and its findings as notes.

Beside the tasks goes the labeling configuration that they need. Formats: labelstud.io/guide/task_format and
labelstud.io/guide/predictions. Coordinates are percent of the image; Label Studio refuses those over 100.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from sanitizer.reports.annotators.colours import class_colour
from sanitizer.reports.annotators.flagged import Exported, Flagged, Rectangle
from sanitizer.reports.common import plain
from sanitizer.util.atomic import open_atomically
from sanitizer.util.paths import relative_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sanitizer.reports.annotators.flagged import FlaggedImage, Shape

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files below LOCAL_FILES_DOCUMENT_ROOT."""

CLIPPED_NOTE = "(drawn clipped to the image)"

_CONTROLS = {
    "rectanglelabels": ("RectangleLabels", "box"),
    "polygonlabels": ("PolygonLabels", "polygon"),
    "keypointlabels": ("KeyPointLabels", "keypoint"),
}
"""Region type to the tag of the configuration and the name that we give it."""

_MAIN_CONTROL = {"segment": "polygonlabels"}


def write(flagged: Flagged, path: str, images_url: str | None = None) -> Exported:
    """Write the tasks as JSON to `path`, and the configuration beside it with the ending .xml.

    Args:
        flagged: What to write.
        path: The JSON file.
        images_url: What leads to the dataset root in the address of an image; None: Label Studio's own local files,
            for a document root one above the folder that holds all flagged images.

    Raises:
        ExportError: Not one image can be read.
        OSError: A file cannot be written.
    """
    config_path = f"{os.path.splitext(path)[0]}.xml"
    base = flagged.folder if images_url is None else flagged.report.root
    prefix = images_url or LOCAL_FILES + quote(os.path.basename(base)) + "/"
    used = {_MAIN_CONTROL.get(flagged.report.task, "rectanglelabels"): True}
    n_keypoints, images, outside = 0, 0, []
    with open_atomically(path) as file:
        for image in flagged:
            below = relative_to(image.path, base)
            if below.startswith("../"):
                outside.append(
                    f"{image.source}: lies outside {base}, so the address for images does not lead to it"
                )
                continue
            task = _task(image, prefix + quote(os.fsencode(below)))
            for region in task["predictions"][0]["result"]:
                used[region["type"]] = True
            n_keypoints = max([n_keypoints, *(k.number for s in image.shapes for k in s.keypoints)])
            text = json.dumps(plain(task), ensure_ascii=False, allow_nan=False)
            file.write(f"{',' if images else '['}\n{text}".encode())
            images += 1
        flagged.require(images)
        file.write(b"\n]\n")
        with open_atomically(config_path) as config:
            config.write(_config(used, flagged.labels.by_class, n_keypoints).encode())
    hints = [
        f"in Label Studio, paste {config_path} into Labeling Setup > Custom template, then import {path}"
    ]
    if images_url is None:
        hints.append(
            "for the pictures, start Label Studio with LOCAL_FILES_SERVING_ENABLED=true and "
            f"LOCAL_FILES_DOCUMENT_ROOT={os.path.dirname(base)}, and give the project a source storage of local files "
            f"at {base} (no sync needed)"
        )
    return Exported((path, config_path), images, [*flagged.left_out, *outside], hints)


def _task(image: FlaggedImage, url: str) -> dict[str, Any]:
    regions = [region for shape in image.shapes for region in _regions(image, shape)]
    return {
        "data": {
            "image": url,
            "findings": image.note,
            "n_findings": image.n_findings,
            "file": image.source,
            "split": image.split,
        },
        "predictions": [{"model_version": "labels", "result": regions}],
    }


def _regions(image: FlaggedImage, shape: Shape) -> Iterable[dict[str, Any]]:
    """The row's outline, then its keypoints, which name it as their parent. Nothing of a row outside the image."""
    kind, value, clipped = _outline(image, shape)
    if not value:
        return
    note = " ".join(filter(None, (shape.note, CLIPPED_NOTE if clipped else "")))
    name = f"line{shape.line}"
    yield _region(image, name, kind, value | {kind: [label_text(shape.label)]}, note)
    for k in shape.keypoints:
        x, y = _percent(k.x, image.width), _percent(k.y, image.height)
        if x == _clamped(x) and y == _clamped(y):
            kind = "keypointlabels"
            spot = {"x": x, "y": y, "width": 0.75, kind: [_keypoint_label(k.number)]}
            yield _region(image, f"{name}-{k.number}", kind, spot, "hidden" if k.hidden else "", parent=name)


def _region(
    image: FlaggedImage, name: str, kind: str, value: dict[str, Any], note: str, parent: str | None = None
) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": name,
        "type": kind,
        "from_name": _CONTROLS[kind][1],
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": value,
    }
    if note:
        region["meta"] = {"text": [note]}
    if parent:
        region["parentID"] = parent
    return region


def _outline(image: FlaggedImage, shape: Shape) -> tuple[str, dict[str, Any], bool]:
    """(region type, geometry in percent or nothing where all of it is outside, whether it was clipped)."""
    outline = shape.outline
    if isinstance(outline, Rectangle):
        if not outline.rotation_deg:
            return "rectanglelabels", *_upright(outline, image)
        for turned in (outline, outline.quarter_turned()):
            value = _turned(turned, image)
            if max(value["x"], value["y"], value["width"], value["height"]) <= 100:
                return "rectanglelabels", value, False
    corners = outline.corners() if isinstance(outline, Rectangle) else outline.points
    points = [[_percent(x, image.width), _percent(y, image.height)] for x, y in corners.tolist()]
    inside = [[_clamped(x), _clamped(y)] for x, y in points]
    flat = min(len({x for x, _ in inside}), len({y for _, y in inside})) < 2
    gone = flat and inside != points
    return "polygonlabels", {} if gone else {"points": inside, "closed": True}, inside != points


def _upright(box: Rectangle, image: FlaggedImage) -> tuple[dict[str, Any], bool]:
    """A box that is not rotated, clipped to the image: Label Studio takes no other."""
    left, right = (_percent(box.x_center + s * box.width / 2, image.width) for s in (-1, 1))
    top, bottom = (_percent(box.y_center + s * box.height / 2, image.height) for s in (-1, 1))
    if left > 100 or top > 100 or right < 0 or bottom < 0:
        return {}, True
    corners = (left, top, right, bottom)
    x, y, x2, y2 = map(_clamped, corners)
    return {"x": x, "y": y, "width": round(x2 - x, 6), "height": round(y2 - y, 6), "rotation": 0}, (
        x,
        y,
        x2,
        y2,
    ) != corners


def _turned(box: Rectangle, image: FlaggedImage) -> dict[str, Any]:
    """A rotated box: Label Studio turns it clockwise about its upper left corner, and stores where that corner is."""
    angle = math.radians(box.rotation_deg)
    across, down = -box.width / 2, -box.height / 2
    return {
        "x": _percent(box.x_center + across * math.cos(angle) - down * math.sin(angle), image.width),
        "y": _percent(box.y_center + across * math.sin(angle) + down * math.cos(angle), image.height),
        "width": _percent(box.width, image.width),
        "height": _percent(box.height, image.height),
        "rotation": box.rotation_deg,
    }


def _percent(pixels: float, side_px: int) -> float:
    return round(100 * float(pixels) / side_px, 6)


def _clamped(percent: float) -> float:
    return min(max(percent, 0.0), 100.0)


def label_text(label: str) -> str:
    """The class as Label Studio writes it: a dollar sign would name a field of the task."""
    return label.replace("$", "\uff04")


def _keypoint_label(number: int) -> str:
    return f"keypoint {number}"


def _config(used: Iterable[str], labels: dict[float, str], n_keypoints: int) -> str:
    """The labeling configuration: the findings as text, the image, and a control for each type of region."""
    classes = [(label_text(labels[cls]), class_colour(i)) for i, cls in enumerate(sorted(labels))]
    keypoints = [(_keypoint_label(i + 1), class_colour(i)) for i in range(n_keypoints)]
    lines = [
        "<View>",
        '  <Header value="Findings"/>',
        '  <Text name="findings" value="$findings"/>',
        '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>',
    ]
    for kind in used:
        tag, name = _CONTROLS[kind]
        lines.append(f'  <{tag} name="{name}" toName="image">')
        choices = keypoints if kind == "keypointlabels" else classes
        lines += [f"    <Label value={_attribute(text)} background={_attribute(c)}/>" for text, c in choices]
        lines.append(f"  </{tag}>")
    return "\n".join([*lines, "</View>", ""])


def _attribute(text: str) -> str:
    return quoteattr(str(plain(text)))
