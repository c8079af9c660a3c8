"""Measured images as plain values for the probe's state on disk, and back: what is read back is not believed."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.probe.doubt.features import FEATURES, RowFeatures
from sanitizer.probe.doubt.twins import BACKGROUND, LABEL
from sanitizer.probe.gradients.measured import Measured
from sanitizer.probe.gradients.signals import ImageSignals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_OF_ROWS = ("support", "best_iou", "other_class", "other_probability", "own_probability", "weight")
_INTEGERS = ("other_class", "object_class")
_SHARES = ("support", "best_iou", "other_probability", "own_probability",
           "object_score", "object_iou", "object_touch", "object_xywh")  # fmt: skip
_ROUNDING = 1e-3
_LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = ("grad_norm", "per_weight", "share", "background_share")


def plain(m: Measured) -> dict[str, Any]:
    """A measurement as plain values, for JSON; `measured_of` reads them back."""
    record = asdict(m)
    record["row_share"], record["look"] = m.row_share.tolist(), m.look.tolist()
    if m.signals is not None:
        record["signals"] = {f.name: getattr(m.signals, f.name).tolist() for f in fields(ImageSignals)}
    if m.features is not None:
        record["features"] = {f.name: getattr(m.features, f.name).tolist() for f in fields(RowFeatures)}
    return record


def measured_of(record: dict[str, Any], n_rows: Sequence[int]) -> Measured:
    """The measurement in plain values, which may be anybody's.

    Args:
        record: From `plain`, in this version or another one.
        n_rows: Number of label rows of each sample.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: These are not the values of a measurement of
            one of the samples.
    """
    index = record["index"]
    _insist(type(index) is int and 0 <= index < len(n_rows) and type(record["batch"]) is int)
    rows = n_rows[index]
    signals, features = record["signals"], record["features"]
    _insist((signals is None) == (features is None))
    if signals is not None:
        record["signals"], record["features"] = _signals(signals, rows), _features(features, rows)
    record["row_share"] = _numbers(record["row_share"], 1)
    _insist(len(record["row_share"]) == (0 if signals is None else rows))
    record["look"] = _numbers(record["look"], 1)
    _insist(bool((np.abs(record["look"]) <= _LARGEST).all()))
    record["place"] = None if record["place"] is None else tuple(_shares(record["place"], 1).tolist())
    _insist(record["place"] is None or len(record["place"]) == 2)
    _insist(
        all(
            isinstance(v, float | int)
            for v in (*(record[name] for name in _NUMBERS), *record["loss"].values())
        )
    )
    _insist(record["not_finite"] in ("", "loss", "gradient") and type(record["amp_only"]) is bool)
    bad_row = record["bad_row"]
    _insist(bad_row is None or (type(bad_row) is int and 0 <= bad_row < rows))
    _insist(isinstance(record["unreadable"], str))
    return Measured(**record)


def _signals(record: dict[str, Any], rows: int) -> ImageSignals:
    arrays: dict[str, Any] = {}
    n_objects = len(record["object_score"])
    for f in fields(ImageSignals):
        name, values = f.name, record[f.name]
        if name == "object_xywh":
            arrays[name] = _numbers(values, 2) if n_objects else np.zeros((0, 4))
            _insist(arrays[name].shape == (n_objects, 4))
        else:
            arrays[name] = _integers(values) if name in _INTEGERS else _numbers(values, 1)
            _insist(len(arrays[name]) == (rows if name in _OF_ROWS else n_objects))
        if name in _SHARES:
            # Rows that the loss did not use have no numbers.
            _insist(_are_shares(arrays[name], or_nan=name in _OF_ROWS))
    _insist(bool((arrays["weight"] >= 0).all() and np.isfinite(arrays["weight"]).all()))
    return ImageSignals(**arrays)


def _features(record: dict[str, Any], rows: int) -> RowFeatures:
    kind, row, class_id = (_integers(record[name]) for name in ("kind", "row", "class_id"))
    values = _numbers(record["values"], 2) if len(kind) else np.zeros((0, len(FEATURES)))
    _insist(len(row) == len(class_id) == len(kind) and values.shape == (len(kind), len(FEATURES)))
    _insist(
        bool(((kind >= LABEL) & (kind <= BACKGROUND) & (row >= 0) & (row < rows) & (class_id >= 0)).all())
    )
    _insist(len(np.unique(row[kind == LABEL])) == int((kind == LABEL).sum()))
    size = FEATURES.index("size")
    _insist(bool(((values[:, size] >= 0) & (values[:, size] <= _LARGEST)).all()))
    _insist(_are_shares(np.delete(values, [size, FEATURES.index("image_support")], axis=1)))
    _insist(_are_shares(values[:, FEATURES.index("image_support")], or_nan=True))
    return RowFeatures(kind, row, class_id, values)


def _insist(holds: bool) -> None:
    if not holds:
        raise ValueError("not the values of a measurement")


def _numbers(values: object, dimensions: int) -> NDArray[np.float64]:
    array = np.array(values, np.float64)
    _insist(array.ndim == dimensions)
    return array


def _integers(values: object) -> NDArray[np.int64]:
    array = np.array(values, np.int64)
    _insist(array.ndim == 1)
    return array


def _shares(values: object, dimensions: int) -> NDArray[np.float64]:
    array = _numbers(values, dimensions)
    _insist(_are_shares(array))
    return array


def _are_shares(values: NDArray[np.float64], or_nan: bool = False) -> bool:
    """Whether all numbers are 0 to 1, but for rounding."""
    holds = (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)
    return bool((holds | (np.isnan(values) & or_nan)).all())
