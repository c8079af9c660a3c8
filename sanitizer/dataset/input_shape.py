"""Keypoints and channels as a data.yaml declares them, and what training makes of wrong ones (D001)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanitizer.dataset.data_yaml import typed
from sanitizer.dataset.slips.texts import short_value
from sanitizer.dataset.tables import RunStage, dataset_fault
from sanitizer.findings.finding import Severity

if TYPE_CHECKING:
    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.tables import DatasetFault

MAX_CHANNELS = 1000
_KEYPOINTS_WRONG = "ValueError: 'kpt_shape' in data.yaml missing or incorrect."


def read_channels(document: DataYaml, faults: list[DatasetFault]) -> int:
    """Channels that a model for this dataset takes; 3 where the data.yaml does not say, or nothing sensible."""
    if "channels" not in document.data:
        return 3
    value = document.data["channels"]
    if isinstance(value, int) and 0 < value <= MAX_CHANNELS:
        return int(value)
    detail = f"`channels: {short_value(value)}` is no number of channels; training stops here"
    advice = "Write 3 for colour, 1 for gray, or the number of bands; or leave `channels:` out."
    kind = "RuntimeError" if isinstance(value, int) else "TypeError"
    stops_with = f"{kind} (the model cannot be built for `channels: {short_value(value)}`)"
    faults.append(
        _fault(document, "channels", detail, advice, stops_with=stops_with, stops_at=RunStage.MODEL)
    )
    return 3


def read_kpt_shape(document: DataYaml, faults: list[DatasetFault]) -> tuple[int, int]:
    """(number of keypoints, 2 or 3) as declared; (0, 0) where they are not, or where training cannot use them."""
    if "kpt_shape" not in document.data:
        return (0, 0)
    value = typed(document, "kpt_shape")
    if value is None and document.data["kpt_shape"] is not None:  # of a wrong type, which is said elsewhere
        return (0, 0)
    if value is None or len(value) != 2:
        stops_with = f"{'TypeError' if value is None else 'ValueError'}: … unpack"
        faults.append(_bad_shape(document, value, "training stops here", stops_with=stops_with))
        return (0, 0)
    good = all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    if not good or not 0 < value[0] < 10_000 or value[1] not in (2, 3):
        stops_with = _KEYPOINTS_WRONG if good else "TypeError: … keypoints are no whole numbers"
        faults.append(
            _bad_shape(document, value, "pose training stops here", stops_with=stops_with, stops_task="pose")
        )
        return (0, 0)
    _check_flip_idx(document, value[0], faults)
    return (value[0], value[1])


def _bad_shape(document: DataYaml, value: object, effect: str, **stops: Any) -> DatasetFault:
    detail = f"`kpt_shape: {short_value(value)}` must be [number of keypoints, 2 or 3]; {effect}"
    advice = "Write [17, 3] for 17 keypoints with x, y and visibility."
    return _fault(document, "kpt_shape", detail, advice, **stops, stops_at=RunStage.TRAIN)


def _check_flip_idx(document: DataYaml, n: int, faults: list[DatasetFault]) -> None:
    """Report a `flip_idx` that is no list of each keypoint once. Training leaves out flips where it is absent or []."""
    if "flip_idx" not in document.data:
        return
    flip = typed(document, "flip_idx")
    if flip == [] or (flip is None and document.data["flip_idx"] is not None):
        return
    problem = _flip_problem(flip, n)
    if problem is None:
        return
    words, stops_with = problem
    stops_at = RunStage.AUGMENT if flip is None or len(flip) != n else RunStage.BATCH
    detail = f"`flip_idx` {words}; {'pose training stops here' if stops_with else 'flipped images get wrong keypoints'}"
    advice = f"Give each keypoint the index of its mirror image, itself where it has none: each of 0 to {n - 1} once."
    meant = _meant_flip(flip or [], n)
    if meant is not None:
        line = document.line("flip_idx")
        advice = f"It must list each keypoint 0 to {n - 1} once: write line {line} as `flip_idx: {meant}`."
    severity = Severity.ERROR if stops_with else Severity.WARNING
    stops: Any = {"stops_with": stops_with, "stops_task": "pose", "stops_at": stops_at} if stops_with else {}
    faults.append(_fault(document, "flip_idx", detail, advice, severity, **stops))


def _meant_flip(flip: list[Any], n: int) -> list[int] | None:
    """The list that pairs of keypoints, or indices from 1, stand for; None where they stand for none."""
    if all(isinstance(i, int) for i in flip):
        meant = [i - 1 for i in flip]
        return meant if sorted(meant) == list(range(n)) else None
    meant = list(range(n))
    for pair in flip:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(i, int) and 0 <= i < n for i in pair)
        ):
            return None
        meant[pair[0]], meant[pair[1]] = pair[1], pair[0]
    return meant if sorted(meant) == list(range(n)) else None


def _flip_problem(flip: list[Any] | None, n: int) -> tuple[str, str | None] | None:
    """(what is wrong in words, the exception or None where training goes on); None where nothing is wrong."""
    if flip is None:
        return "is empty", "TypeError: object of type 'NoneType' has no len()"
    if len(flip) != n:
        if flip and all(isinstance(i, list) for i in flip):
            return f"holds {len(flip)} pairs, not one index for each of {n} keypoints", _flip_length(n)
        return f"has {len(flip)} entries for {n} keypoints", _flip_length(n)
    if any(isinstance(i, list) for i in flip):
        return "holds lists, not one index a keypoint", "RuntimeError (keypoints of another shape)"
    if not all(isinstance(i, int) for i in flip):
        return "holds what is no index", "IndexError: only integers"
    outside = [i for i in flip if not -n <= i < n]
    if outside:
        words = f"names keypoint {short_value(outside[0])} of {n}, which are 0 to {n - 1}"
        return words, f"IndexError: index {short_value(outside[0])} is out of bounds for axis 1 with size {n}"
    if sorted(i % n for i in flip) != list(range(n)):
        return "does not name each keypoint once", None
    return None


def _flip_length(n: int) -> str:
    return f"ValueError: data.yaml flip_idx=… length must be equal to kpt_shape[0]={n}"


def _fault(
    document: DataYaml, key: str, detail: str, advice: str, severity: Severity = Severity.ERROR, **stops: Any
) -> DatasetFault:
    return dataset_fault(
        "D001", detail, advice, severity, file=document.path, line=document.line(key), **stops
    )
