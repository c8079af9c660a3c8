"""Checks on class ids, row by row and over the whole dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault, RowKind
from sanitizer.rules.checks import dataset_check, row_check
from sanitizer.rules.checks.geometry import DROPS, no_hits
from sanitizer.rules.hits import Hits
from sanitizer.ultra.label_check import lower_limit
from sanitizer.util.counting import in_thousands, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, LabelTable, TaskSpec
    from sanitizer.rules.hits import Params
    from sanitizer.rules.survey import Survey

NAMES_SHOWN = 5


def _trained_ids(labels: LabelTable) -> NDArray[np.float32]:
    """float32 (R,): class ids as training reads them; NaN for rows that cannot be read at all."""
    with np.errstate(over="ignore", invalid="ignore"):
        ids = labels.class_id.astype(np.float32)
    ids[(labels.kind == RowKind.FAULTY) | ~np.isfinite(ids)] = np.nan
    return ids


@row_check("class-out-of-range")
def class_out_of_range(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Whole-numbered class ids that are negative, or no class of the data.yaml."""
    ids = _trained_ids(tables.labels)
    nc = np.inf if spec.nc is None else spec.nc
    index = np.flatnonzero(((ids < 0) | (ids >= nc)) & (ids == np.floor(ids)))
    if not len(index):
        return no_hits()
    limit = f"data.yaml names {_counted(spec.nc)}" if spec.nc is not None else "ids start at 0"
    kept = spec.behaviour.takes_nc_as_class & (ids[index] == nc)
    fate = np.where(kept, "training keeps the row, and may stop at it", DROPS)
    return Hits(index, ids[index].astype(np.float64), fields={"limit": [limit] * len(index), "fate": fate})


def _counted(nc: int) -> str:
    return "one class, 0" if nc == 1 else f"{nc} classes, 0 to {nc - 1}" if nc else "no class"


@row_check("class-no-integer")
def class_no_integer(tables: ChunkTables, spec: TaskSpec, params: Params) -> Hits:
    """Class ids with a fraction, such as 1.5; 1.0 is fine."""
    ids = _trained_ids(tables.labels)
    index = np.flatnonzero(ids != np.floor(ids))
    index = index[np.isfinite(ids[index])]
    highest = np.float32(np.inf if spec.nc is None else spec.nc)
    kept = spec.behaviour.takes_fractional_class & (ids[index] >= lower_limit(spec.behaviour))
    kept &= ids[index] < highest
    fate = np.where(kept, "training cuts it to a whole number", DROPS)
    return Hits(index, tables.labels.class_id[index], fields={"fate": fate})


@dataset_check("rare-class")
def rare_class(survey: Survey, params: Params) -> Iterator[DatasetFault]:
    """Classes without any row, and classes with far fewer than the median class.

    Where many classes are unused, one finding says so: the data.yaml is that of a larger dataset.
    """
    nc, names = survey.spec.nc, survey.spec.names
    if not nc or not survey.n_boxes:
        return
    counts = {c: survey.class_counts.get(c, 0) for c in range(nc)}
    unused = [c for c, n in counts.items() if n == 0]
    used = {c: n for c, n in counts.items() if n}
    where = survey.dataset.yaml_path
    hint = ""
    if 0 in unused and max(survey.class_counts, default=0) == nc:
        rows = "1 row has" if survey.class_counts[nc] == 1 else f"{survey.class_counts[nc]} rows have"
        hint = f"; {rows} class {nc}: ids may have been counted from 1"
    if len(unused) > NAMES_SHOWN:
        problem = f"{len(unused)} of {nc} classes have no label row: {_listed(unused, names)}{hint}"
        yield _place(where, problem, 0, 1)
    else:
        for c in unused:
            problem = f"class {_named(c, names)} has no label row{'' if c else hint}"
            yield _place(where, problem, 0, 1)
    if not used:
        return
    median = float(np.median(list(used.values())))
    limit = median * params["rare_share"]
    for c, n in used.items():
        if n < limit:
            rows = "1 label row" if n == 1 else f"{n} label rows"
            problem = f"class {_named(c, names)} has {rows}, the median class {median:.0f}"
            yield _place(where, problem, n, limit)


@dataset_check("class-imbalance")
def class_imbalance(survey: Survey, params: Params) -> Iterator[DatasetFault]:
    """F008: classes of a classification set with far fewer training images than the median class."""
    train = next((s for s in survey.dataset.splits if s.name in ("train", "") and s.dir_classes), None)
    if train is None or train.dir_classes is None:
        return
    of_image = np.array(train.dir_classes)[train.dir_index]
    counts = np.bincount(of_image, minlength=survey.spec.nc or 0)
    used = counts[counts > 0]
    median = float(np.median(used)) if len(used) else 0.0
    limit = median * params["rare_share"]
    for c in np.flatnonzero((counts > 0) & (counts < limit)).tolist():
        images = in_thousands(int(counts[c]), "training image")
        name = survey.spec.names.get(c, str(c))
        problem = f"class {name} has {images}, the median class {median:,.0f}"
        values = {"problem": problem, "value": int(counts[c]), "threshold": limit}
        where = survey.dataset.root
        yield DatasetFault("F008", file=where, split=train.name or None, values=values, class_id=c)


def _place(where: str | None, problem: str, value: float, threshold: float) -> DatasetFault:
    return DatasetFault(
        "C003", file=where, values={"problem": problem, "value": value, "threshold": threshold}
    )


def _named(c: int, names: Mapping[int, str]) -> str:
    return f"{c} ({names[c]})" if c in names else str(c)


def _listed(classes: Sequence[int], names: Mapping[int, str]) -> str:
    return listed([_named(c, names) for c in classes], NAMES_SHOWN)
