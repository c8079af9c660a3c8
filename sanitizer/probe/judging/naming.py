"""Names what the probe found: images, label lines and places, as findings G001 to G008."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault
from sanitizer.probe.doubt.choose import chosen
from sanitizer.probe.judging.limits import LEAST_USUAL_WEIGHT, LIKELY
from sanitizer.probe.judging.wording import boxes
from sanitizer.rules.assemble import of_place
from sanitizer.util.robust import robust_z

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sanitizer.findings.finding import Finding
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.probe.judging.judgement import Judgement

    Params = Mapping[str, float]
    Missing = tuple[tuple[float, float, float, float], int]
    """x, y, width and height, normalised, of a missing label, and its class."""
    Place = tuple[DatasetFault, int | Missing | None]
    """Where a finding is, and the number of its label row, or what is missing there, or None for the whole image."""

_SMALL_PX = 16
"""A side that is shorter explains why nothing is learnt from a line."""


def findings(judgement: Judgement) -> list[Finding]:
    """All findings of the probe's rules that the user wants, without fingerprints."""
    found: list[Finding] = []
    for code, places in _PLACES.items():
        if code in judgement.ruleset.rules:
            # The probe compares images, so it uses the common parameters and not those of a class.
            params = judgement.ruleset.rules[code].params
            found += [_finding(judgement, code, *place) for place in places(judgement, params)]
    return found


def _suspicious_images(judgement: Judgement, params: Params) -> Iterator[Place]:
    evidence, least = judgement.evidence, params["min_z"]
    joint, likeliest = robust_z(evidence.score), judgement.likeliest_of_images()
    for n, m in enumerate(judgement.measured):
        doubts = judgement.doubts(n)
        named_for_doubt = bool(doubts) and likeliest[n] >= LIKELY
        spike, doubt = float(evidence.norm_z[n]), float(joint[n]) if named_for_doubt else 0.0
        says = []
        if spike >= least:
            usual = boxes(len(judgement.samples[m.index]))
            says.append(f"gradient norm {m.grad_norm:.3g}, {spike:.1f} z over what is usual for {usual}")
        if doubt >= least:
            says.append("; ".join(doubts[:2]))
        if says:
            value = max(doubt, spike) if spike >= least else doubt
            values = {
                "problem": "; ".join(says),
                "value": value,
                "threshold": least,
                "p": float(likeliest[n]),
            }
            yield _place(judgement, "G001", m, values), None


def _suspicious_lines(code: str) -> Callable[[Judgement, Params], Iterator[Place]]:
    def places(judgement: Judgement, _params: Params) -> Iterator[Place]:
        evidence, named = judgement.evidence, judgement.named_lines
        least = min((float(evidence.row_p[k]) for k in named), default=1.0)
        for k, (kind, sure) in named.items():
            if judgement.code_of(kind) != code:
                continue
            m, row = judgement.measured[evidence.row_image[k]], int(evidence.row_number[k])
            p = float(evidence.row_p[k])
            values = {
                "problem": _about_line(judgement, m, row, kind, sure),
                "value": p,
                "threshold": least,
                "p": p,
            }
            yield _place(judgement, code, m, values, row), row

    return places


def _about_line(judgement: Judgement, m: Measured, row: int, kind: str, sure: float) -> str:
    own = judgement.class_name(int(judgement.samples[m.index].class_id[row, 0]))
    if kind == "G007":
        said = f"the model sees more than one object in this {own}, the second with {sure:.0%}"
    elif kind == "G008":
        said = f"the model sees a larger object here ({sure:.0%}), of which this {own} is a part"
    else:
        said = _contradiction(judgement, m, row, own)
    share = float(m.row_share[row])
    said += f"; {share:.0%} of its batch's gradient goes through this line" if share >= 0.01 else ""
    codes = judgement.codes_at(m, row)
    return said + (f"; {', '.join(codes)} fire{'s' * (len(codes) == 1)} here too" if codes else "")


def _contradiction(judgement: Judgement, m: Measured, row: int, own: str) -> str:
    """What the model says of a line that is probably wrong: another class, another place, or nothing."""
    assert m.signals is not None
    s = m.signals
    other, own_p, iou = (
        float(values[row]) for values in (s.other_probability, s.own_probability, s.best_iou)
    )
    if other > max(2 * own_p, 0.05):
        name = judgement.class_name(int(s.other_class[row]))
        return f"the model takes this {own} for {name} ({other:.0%} to {own_p:.0%})"
    if iou >= 0.5:
        return f"the model sees hardly any {own} here ({own_p:.1%})"
    if iou >= 0.05:
        return f"no prediction fits this {own} well: the closest overlaps it by {iou:.0%} (IoU)"
    return f"the model sees nothing where this {own} is"


def _not_finite(judgement: Judgement, _params: Params) -> Iterator[Place]:
    for m in judgement.measured:
        if m.not_finite:
            blame = "" if m.bad_row is None else ", and is finite without this line"
            values = {"what": m.not_finite, "blame": blame}
            yield _place(judgement, "G003", m, values, m.bad_row), m.bad_row


def _not_finite_in_amp(judgement: Judgement, _params: Params) -> Iterator[Place]:
    for m in judgement.measured:
        if m.amp_only:
            yield _place(judgement, "G004", m, {"type": judgement.amp_type}), None


def _missing_labels(judgement: Judgement, params: Params) -> Iterator[Place]:
    """Places without a label; images that lack most labels come first."""
    evidence = judgement.evidence
    named = np.flatnonzero(chosen(evidence.object_p, judgement.fdr))
    least = float(evidence.object_p[named].min(initial=1.0))
    lacking = np.bincount(evidence.object_image, evidence.object_p, len(judgement.measured))
    for k in named[np.argsort(-lacking[evidence.object_image[named]], kind="stable")].tolist():
        m, number = judgement.measured[evidence.object_image[k]], int(evidence.object_number[k])
        assert m.signals is not None
        score, class_id = float(m.signals.object_score[number]), int(m.signals.object_class[number])
        if score < params["min_score"]:
            continue
        p = float(evidence.object_p[k])
        values = {
            "class_name": judgement.class_name(class_id), "score": score, "share": float(evidence.object_share[k]),
            "value": p, "threshold": least, "p": p,
        }  # fmt: skip
        x, y, width, height = m.signals.object_xywh[number].tolist()
        yield _place(judgement, "G005", m, values), ((x, y, width, height), class_id)


def _unlearnt_rows(judgement: Judgement, params: Params) -> Iterator[Place]:
    usual = judgement.usual_weight()
    limit = params["max_share"] * usual
    for m in judgement.measured if usual >= LEAST_USUAL_WEIGHT else ():
        if m.signals is None:
            continue
        sample = judgement.samples[m.index]
        scale = judgement.imgsz / max(sample.width, sample.height)
        for row in np.flatnonzero(m.signals.weight <= limit).tolist():
            side_px = scale * float(
                min(sample.xywh[row, 2] * sample.width, sample.xywh[row, 3] * sample.height)
            )
            weight = float(m.signals.weight[row])
            values = {
                "weight": weight, "usual": usual, "imgsz": judgement.imgsz, "value": weight, "threshold": limit,
                "side": f": its shorter side is {side_px:.1f} px there" if side_px < _SMALL_PX else "",
            }  # fmt: skip
            yield _place(judgement, "G006", m, values, row), row


_PLACES: Mapping[str, Callable[[Judgement, Params], Iterator[Place]]] = {
    "G001": _suspicious_images,
    "G002": _suspicious_lines("G002"),
    "G007": _suspicious_lines("G007"),
    "G008": _suspicious_lines("G008"),
    "G003": _not_finite,
    "G004": _not_finite_in_amp,
    "G005": _missing_labels,
    "G006": _unlearnt_rows,
}


def _place(
    judgement: Judgement, rule: str, m: Measured, values: Mapping[str, object], row: int | None = None
) -> DatasetFault:
    sample = judgement.samples[m.index]
    line = None if row is None else int(sample.lines[row])
    where = sample.label or sample.image
    return DatasetFault(rule, where, sample.image, sample.label, sample.split or None, line, values=values)


def _finding(judgement: Judgement, code: str, place: DatasetFault, about: int | Missing | None) -> Finding:
    """The finding at a place, with its probability, class and box filled in."""
    finding = of_place(judgement.ruleset.rules[code], place, judgement.dataset, judgement.ruleset)
    p = place.values.get("p")
    finding.p = round(p, 4) if isinstance(p, float) else None
    if isinstance(about, int):
        sample = judgement.sample_of_image[place.image or ""]
        about = tuple(sample.xywh[about].tolist()), int(sample.class_id[about, 0])
    if about is not None:
        (finding.x_center, finding.y_center, finding.width, finding.height), finding.class_id = about
        finding.class_name = judgement.class_name(about[1])
    return finding
