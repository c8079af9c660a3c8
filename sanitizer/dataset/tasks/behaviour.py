"""What a version of Ultralytics does with labels and images, where versions differ: see `ultra/versions.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One version's way to read a dataset. The defaults are those of the newest version that is known.

    Attributes:
        version: As in "8.4.190".
        tolerance: How far over 1, and under 0, a coordinate may be.
        takes_nc_as_class: A class id equal to the number of classes is kept. Training may then stop at it.
        takes_fractional_class: A class id such as 1.5 is kept, and cut to a whole number later.
        takes_small_negative_size: Width and height may be under 0 within the tolerance.
        skips_mark: A byte-order mark is skipped; else the image is dropped.
        skips_blank_lines: A line of blanks between rows is skipped; else the image is dropped.
        mixes_kinds: A box among polygons is read as a polygon of two vertices; else the image is dropped.
        cuts_keypoints: Rows with keypoints are boxes for tasks without keypoints; else they are polygons.
        compares_polygons: Two polygons with one bounding box are kept, if they differ in their vertices.
        refused_formats: Image formats (`IMAGE_FORMATS`) that the newest version opens and this one refuses.
        needs_labels: A run whose train split has no label file stops.
        needs_polygons: A segment or OBB run with boxes among its polygons stops before the first batch.
        names_empty_split: A run whose split has no image left stops with a sentence.
    """

    version: str = "8.4.190"
    tolerance: float = 0.01
    takes_nc_as_class: bool = False
    takes_fractional_class: bool = False
    takes_small_negative_size: bool = False
    skips_mark: bool = True
    skips_blank_lines: bool = True
    mixes_kinds: bool = False
    cuts_keypoints: bool = True
    compares_polygons: bool = True
    refused_formats: tuple[str, ...] = ()
    needs_labels: bool = True
    needs_polygons: bool = True
    names_empty_split: bool = True


NEWEST = Behaviour()
