"""All readings by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sanitizer.labels.readings import class_ids, columns, coordinates, oriented, other_tools
from sanitizer.labels.readings.coordinates import coordinates as in_coordinates
from sanitizer.labels.readings.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNITS = (
    ("", "normalised", coordinates.whole),
    ("percent", "in percent", coordinates.percent),
    ("pixels", "in pixels", coordinates.pixels),
    ("thousandths", "in thousandths (0 to 1000)", coordinates.thousandths),
    ("wrong-side", "with x divided by the image's height and y by its width", coordinates.wrong_side),
)
_LAYOUTS = (
    ("", "x and y of the centre, width, height", coordinates.centre),
    ("corners", "x1 y1 x2 y2, two corners,", coordinates.corners),
    ("corners-by-axis", "left, right, top, bottom", coordinates.corners_by_axis),
    ("top-left", "x and y of the top-left corner, width, height", coordinates.top_left),
    ("swapped", "y and x of the centre, height, width", coordinates.swapped),
    ("swapped-centre", "y and x of the centre, width, height", coordinates.swapped_centre),
    ("swapped-size", "x and y of the centre, height, width", coordinates.swapped_size),
)
"""Boxes in another layout or unit have the name of the layout, then that of the unit: "corners-pixels"."""


def _of_coordinates() -> Iterator[Reading]:
    for layout, columns_are, to_centre in _LAYOUTS:
        for unit, are_written, divisors in _UNITS:
            name = "-".join(filter(None, (layout, unit)))
            if name:
                yield Reading(
                    name,
                    f"class, {columns_are} {are_written}",
                    f"turned from {name.replace('-', ' ')} to centre and size in parts of the image",
                    None,
                    in_coordinates(to_centre, divisors),
                )


def _of_columns() -> Iterator[Reading]:
    yield Reading(
        "confidence",
        "what training reads, then a confidence",
        "freed of the confidence",
        "the confidence",
        columns.without_confidence,
    )
    yield Reading(
        "track-id",
        "what training reads, then a track id",
        "freed of the track id",
        "the track id",
        columns.without_track_id,
    )
    yield Reading(
        "confidence-and-track-id",
        "what training reads, then a confidence and a track id",
        "freed of confidence and track id",
        "the confidence and the track id",
        columns.without_confidence_and_id,
    )
    yield Reading(
        "instance-id",
        "class, an instance id, then coordinates",
        "freed of the instance id",
        "the instance id",
        columns.without_second_id,
    )
    yield Reading(
        "second-confidence",
        "class, a confidence, then coordinates",
        "freed of the confidence",
        "the confidence",
        columns.without_second_confidence,
    )
    yield Reading(
        "class-names",
        "the class's name, then coordinates",
        "given the class's id for its name",
        None,
        columns.class_by_name,
    )
    yield Reading(
        "comma-separated",
        "columns with commas or semicolons between them",
        "freed of commas and semicolons",
        None,
        columns.separated_by_commas,
    )
    yield Reading(
        "decimal-commas",
        "numbers with a comma for the decimal point",
        "given points for decimal commas",
        None,
        columns.with_decimal_commas,
    )


def _of_oriented_boxes() -> Iterator[Reading]:
    for unit, full_turn in (("degrees", 360.0), ("radians", 2 * math.pi)):
        for suffix, in_pixels in (("", False), ("-pixels", True)):
            yield Reading(
                f"angle-{unit}{suffix}",
                f"class, centre and size {'in pixels' if in_pixels else 'normalised'}, angle in {unit}",
                "turned from centre, size and angle to four corners",
                None,
                oriented.turned_box(full_turn, in_pixels),
            )
    yield Reading(
        "dota",
        "four corners in pixels, the class's name, the difficulty (DOTA's own text)",
        "turned from DOTA's text to four corners",
        "the difficulty and the header lines",
        oriented.dota_text,
    )


def _of_tools_and_ids() -> Iterator[Reading]:
    yield Reading(
        "visdrone",
        "x,y,w,h of the top-left corner in pixels, score, category, truncation, occlusion (VisDrone's own text)",
        "turned from VisDrone's text to centre and size",
        "truncation, occlusion, and ignored regions",
        other_tools.visdrone_text,
    )
    yield Reading(
        "kitti",
        "the class's name, truncation, occlusion, angle, two corners in pixels, a box in space (KITTI's own text)",
        "turned from KITTI's text to centre and size",
        "truncation, occlusion, the box in space, and DontCare regions",
        other_tools.kitti_text,
    )
    yield Reading("ids-from-one", "class ids counted from 1", "given ids from 0", None, class_ids.from_one)
    yield Reading(
        "coco-ids",
        "COCO's category ids, 1 to 90 with gaps",
        "given ids 0 to 79 for COCO's",
        None,
        class_ids.renumbered(class_ids.COCO_FROM_ONE),
    )
    yield Reading(
        "coco-ids-from-zero",
        "COCO's category ids less one, 0 to 89 with gaps",
        "given ids 0 to 79 for COCO's",
        None,
        class_ids.renumbered(class_ids.COCO_FROM_ZERO),
    )


READINGS: Mapping[str, Reading] = {
    reading.name: reading
    for group in (_of_coordinates, _of_columns, _of_oriented_boxes, _of_tools_and_ids)
    for reading in group()
}

ROW_BY_ROW = ("comma-separated", "decimal-commas")
"""Readings that are safe without a cause: separators are repaired in each row where one reading makes a good row."""
