"""Makes the findings G001 to G008 from the probe's measurements and scores, and from the scan's findings."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault
from sanitizer.findings.finding import Severity
from sanitizer.probe.doubt.choose import chosen, kind_of_error
from sanitizer.probe.evidence import EVIDENCE_KINDS
from sanitizer.rules.assemble import of_place
from sanitizer.util.robust import robust_z

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.finding import Finding
    from sanitizer.probe.evidence import Evidence
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.rules.ruleset import RuleSet
    from sanitizer.ultra.samples import Sample

DEFAULT_FDR = 0.2
"""Share of the named lines and places that may be fine."""
_LIKELY = 0.5
"""An image is named for its labels only where one of them, or one missing label, is as likely wrong as right."""
_MOST_OF_SCAN = 16.0
"""Most that the scan's findings add to an image's score: as much as the evidence that is calibrated by twins."""
_PRIOR_ROWS = 8.0
"""A code on few rows is taken for one that says nothing: so many rows of the usual probability are added to them."""
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
        fdr: Share of the named lines that may be fine, 0 to 1 (false discovery rate).
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
    fdr: float = DEFAULT_FDR
    amp_type: str = "float16"

    @functools.cached_property
    def _sample_of_image(self) -> dict[str, Sample]:
        return {s.image: s for s in self.samples}

    def findings(self) -> list[Finding]:
        """All findings of the probe's rules, without fingerprints."""
        found: list[Finding] = []
        for code, places in (
            ("G001", self._suspicious_images),
            ("G002", functools.partial(self._suspicious_lines, "G002")),
            ("G007", functools.partial(self._suspicious_lines, "G007")),
            ("G008", functools.partial(self._suspicious_lines, "G008")),
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
        said += self._about_lists()
        return said

    def _about_lists(self) -> list[str]:
        """How to read the lists of lines and places, and what they leave out."""
        evidence, said = self.evidence, []
        n_lines = len(self._named_lines)
        if np.isnan(evidence.doubt.auroc):
            said.append(
                f"no label line is named: {_counted(len(evidence.row_image), 'label line')} are too few to learn what "
                "an error looks like"
            )
        elif not evidence.doubt.usable:
            said.append(
                "no label line is named: to this model, errors put into these labels on paper look no different from "
                f"the labels (told apart in {evidence.doubt.auroc:.0%} of pairs, where 50% is chance); start from "
                "trained weights, or give a larger --budget"
            )
        if n_lines:
            said.append(
                f"{_counted(n_lines, 'label line')} named (G002, G007, G008): about {_one_in(self.fdr)} of these may "
                "be fine (--fdr)"
            )
        said += self._about_missing()
        alone = int(evidence.alone.sum())
        if alone:
            said.append(
                f"{_counted(alone, 'image')} look{'s' * (alone == 1)} like no other, so there is little to compare "
                "the labels with"
            )
        return said

    def _about_missing(self) -> list[str]:
        """For each class of which labels seem to be missing: how many, and in how many images."""
        evidence = self.evidence
        said: list[str] = []
        signals = [m.signals for m in self.measured if m.signals is not None]
        if not signals:
            return said
        classes = np.concatenate([s.object_class for s in signals]).astype(np.int64)
        of_rows = np.concatenate(
            [self.samples[m.index].class_id[:, 0] for m in self.measured if m.signals is not None]
        )
        for class_id in np.unique(classes[evidence.object_p > 0]).tolist():
            p = np.where(classes == class_id, evidence.object_p, 0.0)
            missing = round(float(p[p >= _LIKELY].sum()))
            if missing:
                labels = int((of_rows == class_id).sum())
                images = len(np.unique(evidence.object_image[p >= _LIKELY]))
                said.append(
                    f"about {missing / (missing + labels):.1%} of {self._class(class_id)} seem unlabelled: "
                    f"{_counted(missing, 'object')} in {images:,} of {_counted(len(self.measured), 'image')} (G005)"
                )
        return said

    @functools.cached_property
    def _codes_of_lines(self) -> frozenset[str]:
        """Codes that the scan found on lines."""
        return frozenset(code for codes in self.by_line.values() for code in codes)

    @functools.cached_property
    def scan_weights(self) -> dict[str, float]:
        """Code of each warning or error of the scan to what it adds to an image's score, 0 to 16.

        A code counts more the fewer images have it, and the likelier its rows are wrong: twice the log of the number of
        images over those with the code, and twice the log of the probability of its rows over the usual one. The rows
        of a code that is about no line are all rows of its images.
        """
        evidence = self.evidence
        usual = float(evidence.row_p.mean()) if len(evidence.row_p) else 0.0
        rows: dict[str, list[int]] = {}
        for k, (n, row) in enumerate(
            zip(evidence.row_image.tolist(), evidence.row_number.tolist(), strict=True)
        ):
            sample = self.samples[self.measured[n].index]
            place = (self.dataset.relative(sample.label) or "", int(sample.lines[row]))
            of_image = self.by_image.get(self._image(self.measured[n]), ())
            here = self.by_line.get(place, ())
            for code in {*here, *(c for c in of_image if c not in self._codes_of_lines)}:
                rows.setdefault(code, []).append(k)
        of_images = Counter(code for codes in self.by_image.values() for code in set(codes))
        weights = {code: 2 * np.log(len(self.samples) / count) for code, count in of_images.items()}
        for code, mine in rows.items() if usual > 0 else ():
            often = (float(evidence.row_p[mine].sum()) + _PRIOR_ROWS * usual) / (len(mine) + _PRIOR_ROWS)
            weights[code] = weights.get(code, 0.0) + 2 * np.log(often / usual)
        return {code: float(np.clip(weight, 0, _MOST_OF_SCAN)) for code, weight in weights.items()}

    def combined_score(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """float64 (N,): the probe's score, plus the largest weight of the scan's findings (`scan_weights`)."""
        weights = self.scan_weights
        codes = [self.by_image.get(self._image(m), ()) for m in self.measured]
        added = [max((weights.get(code, 0.0) for code in found), default=0.0) for found in codes]
        return self.evidence.score + np.array(added, np.float64)

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
        likeliest = self._likeliest_of_images()
        for n, m in enumerate(self.measured):
            doubts = self._doubts(n)
            spike, doubt = float(evidence.norm_z[n]), float(joint[n]) if doubts else 0.0
            if likeliest[n] < _LIKELY:
                doubt = 0.0
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
            values = {"problem": "; ".join(says), "value": max(spike, doubt), "threshold": params["min_z"]}
            yield self._place("G001", m, values | {"p": float(likeliest[n])}), None

    def _likeliest_of_images(self) -> NDArray[np.float64]:
        """float64 (N,): the largest probability of a wrong or a missing label in each image."""
        found = np.zeros(len(self.measured))
        np.maximum.at(found, self.evidence.row_image, self.evidence.row_p)
        np.maximum.at(found, self.evidence.object_image, self.evidence.object_p)
        return found

    @functools.cached_property
    def _named_lines(self) -> dict[int, tuple[str, float]]:
        """Number of each named row, of all R rows, to the code of its rule and how sure the model is."""
        evidence, found = self.evidence, {}
        for k in np.flatnonzero(chosen(evidence.row_p, self.fdr)).tolist():
            features = self.measured[evidence.row_image[k]].features
            assert features is not None
            found[k] = kind_of_error(features, int(evidence.row_number[k]))
        return found

    def _suspicious_lines(
        self, code: str, _params: Mapping[str, float]
    ) -> Iterator[tuple[DatasetFault, int]]:
        evidence = self.evidence
        for k, (kind, sure) in self._named_lines.items():
            # A user who leaves G007 or G008 out still wants to hear of a line that is wrong.
            if (kind if kind in self.ruleset.rules else "G002") != code:
                continue
            m, row = self.measured[evidence.row_image[k]], int(evidence.row_number[k])
            values = {
                "problem": self._about_line(m, row, kind, sure),
                "value": float(evidence.row_p[k]),
                "threshold": 1 - self.fdr,
                "p": float(evidence.row_p[k]),
            }
            yield self._place(code, m, values, row), row

    def _about_line(self, m: Measured, row: int, kind: str, sure: float) -> str:
        assert m.signals is not None
        s, sample = m.signals, self.samples[m.index]
        own = self._class(int(sample.class_id[row, 0]))
        other, own_p, iou = (
            float(s.other_probability[row]),
            float(s.own_probability[row]),
            float(s.best_iou[row]),
        )
        if kind == "G007":
            said = f"the model sees more than one object in this {own}, the second with {sure:.0%}"
        elif kind == "G008":
            said = f"the model sees a larger object here ({sure:.0%}), of which this {own} is a part"
        elif other > max(2 * own_p, 0.05):
            said = f"the model takes this {own} for {self._class(int(s.other_class[row]))} ({other:.0%} to {own_p:.0%})"
        elif iou < 0.5:
            said = (
                f"no prediction fits this {own} well: the closest overlaps it by {iou:.0%} (IoU)"
                if iou >= 0.05
                else f"the model sees nothing where this {own} is"
            )
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
        # Images that lack most of their labels come first.
        named = np.flatnonzero(chosen(evidence.object_p, self.fdr))
        lacking = np.bincount(evidence.object_image, evidence.object_p, len(self.measured))
        for k in named[np.argsort(-lacking[evidence.object_image[named]], kind="stable")].tolist():
            m, number = self.measured[evidence.object_image[k]], int(evidence.object_number[k])
            assert m.signals is not None
            score, class_id = float(m.signals.object_score[number]), int(m.signals.object_class[number])
            if score < params["min_score"]:
                continue
            p = float(evidence.object_p[k])
            values = {
                "class_name": self._class(class_id), "score": score, "share": float(evidence.object_share[k]),
                "value": p, "threshold": 1 - self.fdr, "p": p,
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
        """The finding, with its probability, class and box filled in.

        Args:
            code: Code of the rule.
            place: Where the finding is.
            about: Number of the label row; or x, y, width, height, normalised, of a missing label; or None.
            class_id: Class of the missing label.
        """
        finding = of_place(self.ruleset.rules[code], place, self.dataset, self.ruleset)
        p = place.values.get("p")
        finding.p = round(p, 4) if isinstance(p, float) else None
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


def _counted(n: int, name: str) -> str:
    return f"{n:,} {name}{'s' * (n != 1)}"


def _one_in(share: float) -> str:
    """A share as people say it: one in five."""
    words = {2: "two", 3: "three", 4: "four", 5: "five", 10: "ten", 20: "twenty"}
    whole = round(1 / share) if share > 0 else 0
    return f"one in {words[whole]}" if whole in words and abs(1 / whole - share) < 0.005 else f"{share:.0%}"


def _boxes(n: int) -> str:
    return "no box" if n == 0 else "one box" if n == 1 else f"{n} boxes"
