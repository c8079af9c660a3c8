"""Some label files with their images, to be judged by the rules and by training, with any bytes in their place."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import Chunk, ChunkTables
from sanitizer.fixes.repair.plan import Source
from sanitizer.images.image_files import read_images
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules.engine import run_chunk
from sanitizer.ultra.label_check import verdicts
from sanitizer.util.paths import join_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ImageTable, TaskSpec
    from sanitizer.findings.finding import Finding
    from sanitizer.fixes.claims import Claims
    from sanitizer.fixes.targets import Target
    from sanitizer.rules.engine import RuleSet


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Label files and all that the rules need to judge them.

    Attributes:
        targets: The files.
        images: Header facts of their images, in the same order.
        spec: What training would assume of every row.
        ruleset: The rules to judge by.
        root: Absolute folder of the dataset.
    """

    targets: Sequence[Target]
    images: ImageTable
    spec: TaskSpec
    ruleset: RuleSet
    root: str

    @classmethod
    def read(cls, targets: Sequence[Target], spec: TaskSpec, ruleset: RuleSet, root: str) -> LabelBatch:
        """Read the images' headers."""
        return cls(targets, read_images([t.image for t in targets], "header"), spec, ruleset, root)

    def sources(self, claims: Claims, withheld: Mapping[str, str]) -> list[Source]:
        """The files to plan for, with what causes say of them.

        The size of an image is given only where the labels' frame is beyond doubt.

        Args:
            claims: What causes say of label files.
            withheld: Id of each cause whose reading is not used to the reason.
        """
        width, height = self.images.upright_size()
        return [
            Source(
                t.content,
                (int(w), int(h)) if w > 0 and turned < 2 and t.one_image else None,
                claims.claim(t.label, withheld),
            )
            for t, w, h, turned in zip(self.targets, width, height, self.images.orientation, strict=True)
        ]

    def judge(self, files: Sequence[tuple[int, bytes]]) -> list[list[Finding]]:
        """Findings in some of the files, given as (place in `targets`, bytes)."""
        targets = [self.targets[number] for number, _ in files]
        chunk = Chunk("", [t.image for t in targets], [join_path(self.root, t.label) for t in targets])
        numbers = [number for number, _ in files]
        images = replace(
            self.images, **{f.name: getattr(self.images, f.name)[numbers] for f in fields(self.images)}
        )
        labels = parse_labels([content for _, content in files], self.spec)
        found: dict[str | None, list[Finding]] = {t.label: [] for t in targets}
        for finding in run_chunk(ChunkTables(chunk, labels, images), self.spec, self.ruleset, self.root):
            found[finding.label].append(finding)
        return [found[t.label] for t in targets]

    def dropped(self, contents: Sequence[bytes]) -> NDArray[np.bool_]:
        """bool (F,): images that training would leave out, were these the bytes of the files."""
        dropped = verdicts(parse_labels(contents, self.spec), self.images, self.spec).dropped
        return dropped & np.array([t.image is not None for t in self.targets], np.bool_)
