"""Named checks: what no expression can say. A rule names one with `check: near-duplicate`.

A check is a plain function with a decorator, in a module of this package; add its name to `MODULES` below.

    @row_check("near-duplicate")    # index of the Hits = row numbers
    def near_duplicate(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits: ...

    @file_check("exif-rotated")     # index of the Hits = file numbers
    def exif_rotated(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits: ...

    @dataset_check("duplicate-images")
    def duplicate_images(survey: Survey, params: Params) -> Iterable[DatasetFault]: ...

`params` holds the rule's own parameters and `imgsz`. What the rule's message may name: everything a `when`
rule of that scope may (see `columns.py`), `value`, `threshold`, and the `fields` of the Hits; for a dataset
check the `values` of the DatasetFault, whose `rule` is the code. `check: reader` names no function: the reader
of labels, images or the data.yaml reports the rule through a `Fault` or `DatasetFault`.

Precedence between rules needs no code here: a rule with `unless: [B002, B011]` is silent on the rows (scope
row) or files (scope file) where one of those rules fires, even if that one is not selected.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sanitizer.dataset.tables import ChunkTables, DatasetFault, TaskSpec
    from sanitizer.rules.hits import Hits, Params
    from sanitizer.rules.survey import Survey

    ChunkCheck = Callable[[ChunkTables, TaskSpec, Params], Hits]
    DatasetCheck = Callable[[Survey, Params], Iterable[DatasetFault]]
    F = TypeVar("F", bound=Callable[..., object])

Scope = Literal["row", "file", "dataset", "recipe"]

READER = "reader"
"""The check of rules that a reader reports by itself."""

MODULES: dict[str, str] = {
    "unusable-image": "images",
    "damaged-image": "images",
    "wrong-image-ending": "images",
    "exif-rotated": "images",
    "rewritten-image": "images",
    "duplicate-images": "duplicates",
    "conflicting-duplicates": "duplicates",
    "shared-sources": "sources.shared_sources",
    "split-classes": "sources.split_classes",
    "mixed-rows": "labels",
    "row-kind-fits-task": "labels",
    "no-size": "boxes",
    "out-of-range": "boxes",
    "tiny-side": "boxes",
    "corner-rows": "boxes",
    "duplicate-row": "box_copies",
    "near-duplicate": "box_copies",
    "two-classes": "box_copies",
    "shape-outliers": "shapes",
    "few-points": "polygons",
    "no-area": "polygons",
    "self-crossing": "polygons",
    "polygon-outside": "polygons",
    "not-a-rectangle": "oriented",
    "oriented-outside": "oriented",
    "visibility-flag": "keypoints",
    "keypoint-outside": "keypoints",
    "keypoint-far-from-box": "keypoints",
    "class-out-of-range": "classes",
    "class-no-integer": "classes",
    "rare-class": "classes",
    "class-imbalance": "classes",
    "unreadable-mask": "masks",
    "mask-size": "masks",
    "mask-ids": "masks",
    "mask-without-class": "masks",
    "mask-channels": "masks",
    "lossy-mask": "masks",
}
"""Name of a check to the module of this package that defines it: a hook imports only what its rules use."""

_REGISTRY: dict[str, tuple[Scope, Callable[..., object]]] = {}


def _register(scope: Scope, name: str) -> Callable[[F], F]:
    def keep(function: F) -> F:
        _REGISTRY[name] = (scope, function)
        return function

    return keep


def row_check(name: str) -> Callable[[F], F]:
    """Register `f(tables, spec, params) -> Hits` whose `index` counts label rows."""
    return _register("row", name)


def file_check(name: str) -> Callable[[F], F]:
    """Register `f(tables, spec, params) -> Hits` whose `index` counts the chunk's files."""
    return _register("file", name)


def dataset_check(name: str) -> Callable[[F], F]:
    """Register `f(survey, params) -> Iterable[DatasetFault]`."""
    return _register("dataset", name)


def _load(name: str, scope: Scope) -> Callable[..., object]:
    if name not in _REGISTRY:
        import_module(f"{__name__}.{MODULES[name]}")
    registered, function = _REGISTRY[name]
    if registered != scope:
        raise ValueError(f"check {name!r} is of scope {registered}, but a rule of scope {scope} names it")
    return function


def chunk_check(name: str, scope: Scope) -> ChunkCheck:
    """The row or file check of that name; KeyError where there is none."""
    return _load(name, scope)  # type: ignore[return-value]


def survey_check(name: str) -> DatasetCheck:
    """The dataset check of that name; KeyError where there is none."""
    return _load(name, "dataset")  # type: ignore[return-value]
