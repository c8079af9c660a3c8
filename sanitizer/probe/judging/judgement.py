"""All that findings are made from: measurements, scores and the scan's findings; and how the images rank."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.probe.doubt.choose import chosen, kind_of_error
from sanitizer.probe.evidence import EVIDENCE_KINDS, HIGHEST_Z
from sanitizer.probe.judging.scan_weights import scan_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.model import Dataset
    from sanitizer.probe.evidence import Evidence
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.rules.ruleset import RuleSet
    from sanitizer.ultra.samples import Sample

DEFAULT_FDR = 0.2
"""Share of the named lines and places that may be fine."""
_REASON_Z = 2.0
"""A kind of evidence that departs less from what is usual is no reason for an image's rank."""


@dataclass(frozen=True)
class Judgement:
    """Everything that the findings are made from. N measured images.

    Attributes:
        dataset: The dataset.
        ruleset: The rules with their parameters.
        samples: All images of the splits that are measured.
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

    def combined_score(self) -> NDArray[np.float64]:
        """float64 (N,): the probe's score, plus the largest weight of the scan's findings (`scan_weights`)."""
        return self.evidence.score + self._scan_points

    @functools.cached_property
    def _scan_points(self) -> NDArray[np.float64]:
        """float64 (N,): what the scan's findings add to the score of each image."""
        images = {self.dataset.relative(sample.image) for sample in self.samples}
        counts = Counter(c for image, codes in self.by_image.items() if image in images for c in codes)
        weights = scan_weights(self.evidence.row_p, self._rows_of_codes(), counts, len(images))
        codes = (self.codes_of(m) for m in self.measured)
        return np.array([max((weights.get(code, 0.0) for code in c), default=0.0) for c in codes], np.float64)

    def _rows_of_codes(self) -> dict[str, list[int]]:
        """Code of the scan to the numbers of its rows, of all R rows: all rows of an image if it is about no line."""
        of_lines = {code for codes in self.by_line.values() for code in codes}
        found: dict[str, list[int]] = {}
        numbered = zip(self.evidence.row_image.tolist(), self.evidence.row_number.tolist(), strict=True)
        for k, (n, row) in enumerate(numbered):
            m = self.measured[n]
            of_image = (c for c in self.codes_of(m) if c not in of_lines)
            for code in {*self.codes_at(m, row), *of_image}:
                found.setdefault(code, []).append(k)
        return found

    def reasons(self, n: int) -> list[str]:
        """Reasons for the score of image n: the scan's codes first, then kinds of evidence, largest z first."""
        codes = self.codes_of(self.measured[n])
        return ([f"scan: {', '.join(codes)}"] if codes else []) + self.doubts(n)

    def doubts(self, n: int) -> list[str]:
        """Kinds of evidence against the labels of image n, largest z first, as phrases."""
        evidence, lines = self.evidence, self.samples[self.measured[n].index].lines
        ranked = sorted(((float(z[n]), part) for part, z in evidence.parts.items()), reverse=True)
        said = []
        for z, part in ranked:
            if z >= _REASON_Z:
                row = evidence.worst_row(part, n)
                text = EVIDENCE_KINDS[part].format(line="" if row is None else int(lines[row]))
                far = f"over {HIGHEST_Z:.0f}" if z > HIGHEST_Z else f"{z:.1f}"  # more says no more
                said.append(f"{text} ({far} z)")
        return said

    def likeliest_of_images(self) -> NDArray[np.float64]:
        """float64 (N,): the largest probability of a wrong or a missing label in each image."""
        found = np.zeros(len(self.measured))
        np.maximum.at(found, self.evidence.row_image, self.evidence.row_p)
        np.maximum.at(found, self.evidence.object_image, self.evidence.object_p)
        return found

    @functools.cached_property
    def named_lines(self) -> dict[int, tuple[str, float]]:
        """Number of each named row, of all R rows, to the code of its kind and how sure the model is."""
        evidence, found = self.evidence, {}
        for k in np.flatnonzero(chosen(evidence.row_p, self.fdr)).tolist():
            features = self.measured[evidence.row_image[k]].features
            assert features is not None
            found[k] = kind_of_error(features, int(evidence.row_number[k]))
        return found

    def code_of(self, kind: str) -> str:
        """Code of the rule for a kind of line: who leaves G007 or G008 out still wants to hear of wrong lines."""
        return kind if kind in self.ruleset.rules else "G002"

    def usual_weight(self) -> float:
        """Median label weight of all rows; 0 without rows."""
        weights = [m.signals.weight for m in self.measured if m.signals is not None and len(m.signals.weight)]
        return float(np.median(np.concatenate(weights))) if weights else 0.0

    @functools.cached_property
    def sample_of_image(self) -> dict[str, Sample]:
        """Path of each image to its sample."""
        return {s.image: s for s in self.samples}

    def codes_at(self, m: Measured, row: int) -> Sequence[str]:
        """Codes of the scan's warnings and errors on the line of a label row."""
        sample = self.samples[m.index]
        return self.by_line.get((self.dataset.relative(sample.label) or "", int(sample.lines[row])), ())

    def codes_of(self, m: Measured) -> Sequence[str]:
        """Codes of the scan's warnings and errors about an image or its lines."""
        return self.by_image.get(self.image(m), ())

    def image(self, m: Measured) -> str:
        """The image as findings write it."""
        return self.dataset.relative(self.samples[m.index].image) or ""

    def class_name(self, class_id: int) -> str:
        """Name of a class; "class 7" without one."""
        return str(self.dataset.names.get(class_id, f"class {class_id}"))
