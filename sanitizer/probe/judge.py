"""Makes the findings G001 to G006 from the probe's measurements and scores, and from the scan's findings."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault
from sanitizer.findings.finding import Severity
from sanitizer.probe.evidence import EVIDENCE_KINDS
from sanitizer.rules.assemble import of_place
from sanitizer.util.robust import robust_z

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.finding import Finding
    from sanitizer.probe.evidence import Evidence
    from sanitizer.probe.gradients.measure import Measured
    from sanitizer.rules.ruleset import RuleSet
    from sanitizer.ultra.samples import Sample

_SCAN_BONUS = 10.0
"""Added to an image's score if the scan has a warning or error for it: more than one kind of evidence can add."""
LEAST_USUAL_WEIGHT = 0.1
"""If the median label weight is smaller, the model has learnt too little, and label weights say nothing."""
FEW_IMAGES = 20
"""With fewer images, statistics over the images say little."""


@dataclass(frozen=True)
class Judgement:
    """Everything that the findings are made from. N measured images.

    Attributes:
        dataset: The dataset.
        ruleset: The rules with their parameters.
        samples: All training images.
        measured: The N measured images, on a common scale.
        evidence: Their scores.
        by_line: (label file, line) to the codes of the scan's warnings and errors there.
        by_image: Image to the codes of the scan's warnings and errors about it or its lines.
        imgsz: Input size, pixels.
        amp_type: Number type of AMP, for the text of G004.
    """

    dataset: Dataset
    ruleset: RuleSet
    samples: Sequence[Sample]
    measured: Sequence[Measured]
    evidence: Evidence
    by_line: Mapping[tuple[str, int], Sequence[str]]
    by_image: Mapping[str, Sequence[str]]
    imgsz: int
    amp_type: str = "float16"

    @functools.cached_property
    def _sample_of_image(self) -> dict[str, Sample]:
        return {s.image: s for s in self.samples}

    def findings(self) -> list[Finding]:
        """All findings of the probe's rules, without fingerprints."""
        found: list[Finding] = []
        for code, places in (
            ("G001", self._suspicious_images),
            ("G002", self._suspicious_lines),
            ("G003", self._not_finite),
            ("G004", self._not_finite_in_amp),
            ("G005", self._missing_labels),
            ("G006", self._unlearnt_rows),
        ):
            if code in self.ruleset.rules:
                rule = self.ruleset.rules[code]
                # The probe compares images, so it uses the common parameters and not those of a class.
                found += [self._finished(code, *place) for place in places(rule.params)]
        return found

    def notes(self) -> list[str]:
        """Sentences on the limits of these measurements."""
        said = []
        if len(self.measured) < FEW_IMAGES:
            said.append(
                f"only {len(self.measured)} images were measured: a probe compares images with one another, and has "
                f"little to go by under {FEW_IMAGES}"
            )
        if self.usual_weight() < LEAST_USUAL_WEIGHT:
            said.append(
                "the model has learnt too little to stand behind any label: start from trained weights, or give a "
                "larger --budget"
            )
        return said

    def combined_score(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """float64 (N,): the probe's score, plus `_SCAN_BONUS` for images that the scan warns about."""
        warned = [bool(self.by_image.get(self._image(m), ())) for m in self.measured]
        return self.evidence.score + _SCAN_BONUS * np.array(warned, np.float64)

    def reasons(self, n: int) -> list[str]:
        """Reasons for the score of image n: the scan's codes first, then kinds of evidence, largest z first."""
        codes = self.by_image.get(self._image(self.measured[n]), ())
        return ([f"scan: {', '.join(codes)}"] if codes else []) + self._doubts(n)

    def _doubts(self, n: int) -> list[str]:
        evidence, lines = self.evidence, self.samples[self.measured[n].index].lines
        ranked = sorted(((float(z[n]), part) for part, z in evidence.parts.items()), reverse=True)
        said = []
        for z, part in ranked:
            if z >= 2:
                row = evidence.worst_row(part, n)
                text = EVIDENCE_KINDS[part].format(line="" if row is None else int(lines[row]))
                said.append(f"{text} ({z:.1f} z)")
        return said

    def _image(self, m: Measured) -> str:
        return self.dataset.relative(self.samples[m.index].image) or ""

    def _class(self, class_id: int) -> str:
        return str(self.dataset.names.get(class_id, f"class {class_id}"))

    def _suspicious_images(self, params: Mapping[str, float]) -> Iterator[tuple[DatasetFault, None]]:
        evidence = self.evidence
        joint = robust_z(evidence.score)
        for n, m in enumerate(self.measured):
            doubts = self._doubts(n)
            spike, doubt = float(evidence.norm_z[n]), float(joint[n]) if doubts else 0.0
            if not max(spike, doubt) >= params["min_z"]:
                continue
            rows = len(self.samples[m.index])
            says = []
            if spike >= params["min_z"]:
                says.append(
                    f"gradient norm {m.grad_norm:.3g}, {spike:.1f} z over what is usual for {_boxes(rows)}"
                )
            if doubt >= params["min_z"]:
                says.append("; ".join(doubts[:2]))
            value = max(spike, doubt)
            yield (
                self._place(
                    "G001", m, {"problem": "; ".join(says), "value": value, "threshold": params["min_z"]}
                ),
                None,
            )

    def _suspicious_lines(self, params: Mapping[str, float]) -> Iterator[tuple[DatasetFault, int]]:
        evidence = self.evidence
        worst = evidence.row_score()
        for k in np.flatnonzero(np.maximum(evidence.row_z, evidence.swap_z) >= params["min_z"]).tolist():
            m, row = self.measured[evidence.row_image[k]], int(evidence.row_number[k])
            assert m.signals is not None
            if not m.signals.support[row] <= params["max_support"]:
                continue
            values = {
                "problem": self._about_line(m, row),
                "value": float(min(worst[k], 1e6)),
                "threshold": params["min_z"],
            }
            yield self._place("G002", m, values, row), row

    def _about_line(self, m: Measured, row: int) -> str:
        assert m.signals is not None
        s, sample = m.signals, self.samples[m.index]
        own = self._class(int(sample.class_id[row, 0]))
        other, own_p, iou = (
            float(s.other_probability[row]),
            float(s.own_probability[row]),
            float(s.best_iou[row]),
        )
        if other > max(2 * own_p, 0.05):
            said = f"the model takes this {own} for {self._class(int(s.other_class[row]))} ({other:.0%} to {own_p:.0%})"
        elif iou < 0.5:
            said = f"no prediction fits this {own}: the closest overlaps it by {iou:.0%} (IoU)"
        else:
            said = f"the model sees hardly any {own} here ({own_p:.1%})"
        share = float(m.row_share[row])
        said += f"; {share:.0%} of its batch's gradient goes through this line" if share >= 0.01 else ""
        codes = self.by_line.get((self.dataset.relative(sample.label) or "", int(sample.lines[row])), ())
        return said + (f"; {', '.join(codes)} fires here too" if codes else "")

    def _not_finite(self, _params: Mapping[str, float]) -> Iterator[tuple[DatasetFault, int | None]]:
        for m in self.measured:
            if m.not_finite:
                blame = "" if m.bad_row is None else ", and is finite without this line"
                yield self._place("G003", m, {"what": m.not_finite, "blame": blame}, m.bad_row), m.bad_row

    def _not_finite_in_amp(self, _params: Mapping[str, float]) -> Iterator[tuple[DatasetFault, None]]:
        for m in self.measured:
            if m.amp_only:
                yield self._place("G004", m, {"type": self.amp_type}), None

    def _missing_labels(
        self, params: Mapping[str, float]
    ) -> Iterator[tuple[DatasetFault, tuple[float, ...], int]]:
        evidence = self.evidence
        least = -np.log(params["max_share"] + 1e-3)
        for k in np.flatnonzero(evidence.surprise >= least).tolist():
            m, number = self.measured[evidence.object_image[k]], int(evidence.object_number[k])
            assert m.signals is not None
            score, class_id = float(m.signals.object_score[number]), int(m.signals.object_class[number])
            if score < params["min_score"]:
                continue
            share = max(float(np.exp(-evidence.surprise[k])) - 1e-3, 0.0)
            values = {
                "class_name": self._class(class_id), "score": score, "share": share, "value": score,
                "threshold": params["min_score"],
            }  # fmt: skip
            yield self._place("G005", m, values), tuple(m.signals.object_xywh[number].tolist()), class_id

    def _unlearnt_rows(self, params: Mapping[str, float]) -> Iterator[tuple[DatasetFault, int]]:
        usual = self.usual_weight()
        if usual < LEAST_USUAL_WEIGHT:
            return
        for m in self.measured:
            if m.signals is None:
                continue
            sample = self.samples[m.index]
            for row in np.flatnonzero(m.signals.weight <= params["max_share"] * usual).tolist():
                scale = self.imgsz / max(sample.width, sample.height)
                side = (
                    float(min(sample.xywh[row, 2] * sample.width, sample.xywh[row, 3] * sample.height))
                    * scale
                )
                weight = float(m.signals.weight[row])
                values = {
                    "weight": weight, "usual": usual, "imgsz": self.imgsz, "value": weight,
                    "side": f": its shorter side is {side:.1f} px there" if side < 16 else "",
                    "threshold": params["max_share"] * usual,
                }  # fmt: skip
                yield self._place("G006", m, values, row), row

    def usual_weight(self) -> float:
        """Median label weight of all rows; 0 without rows."""
        weights = [m.signals.weight for m in self.measured if m.signals is not None and len(m.signals.weight)]
        return float(np.median(np.concatenate(weights))) if weights else 0.0

    def _place(
        self, rule: str, m: Measured, values: Mapping[str, object], row: int | None = None
    ) -> DatasetFault:
        sample = self.samples[m.index]
        line = None if row is None else int(sample.lines[row])
        return DatasetFault(
            rule,
            sample.label or sample.image,
            sample.image,
            sample.label,
            sample.split or None,
            line,
            values=values,
        )

    def _finished(
        self, code: str, place: DatasetFault, about: object, class_id: int | None = None
    ) -> Finding:
        """The finding, with class and box filled in.

        Args:
            code: Code of the rule.
            place: Where the finding is.
            about: Number of the label row; or x, y, width, height, normalised, of a missing label; or None.
            class_id: Class of the missing label.
        """
        finding = of_place(self.ruleset.rules[code], place, self.dataset, self.ruleset)
        if isinstance(about, int):
            sample = self._sample_of_image[place.image or ""]
            class_id, about = int(sample.class_id[about, 0]), tuple(sample.xywh[about].tolist())
        if isinstance(about, tuple):
            finding.class_id, finding.class_name = class_id, self._class(class_id or 0)
            finding.x_center, finding.y_center, finding.width, finding.height = about
        return finding


def scan_codes(findings: Sequence[Finding]) -> tuple[dict[tuple[str, int], list[str]], dict[str, list[str]]]:
    """Codes of the scan's warnings and errors: by (label file, line), and by image."""
    by_line: dict[tuple[str, int], list[str]] = {}
    by_image: dict[str, list[str]] = {}
    for f in findings:
        if f.severity >= Severity.WARNING:
            if f.label and f.line:
                by_line.setdefault((f.label, f.line), []).append(f.rule)
            if f.image and f.rule not in by_image.setdefault(f.image, []):
                by_image[f.image].append(f.rule)
    return by_line, by_image


def _boxes(n: int) -> str:
    return "no box" if n == 0 else "one box" if n == 1 else f"{n} boxes"
