"""No image is dropped in silence: whatever training drops, an error names its file; and no error cries wolf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from effort import examples
from hostile_labels import label_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_specs import SPECS, images_not_read

from sanitizer.config import Config
from sanitizer.dataset.tables import Chunk, ChunkTables
from sanitizer.findings.finding import Severity
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.language.pack import load_rules
from sanitizer.ultra.label_check import verdicts

if TYPE_CHECKING:
    from sanitizer.dataset.tables import TaskSpec

RULESET = RuleSet.build(load_rules(), Config())
ERRORS_TRAINING_KEEPS = frozenset({"B002", "K002", "L006", "S001"})
"""Boxes of no size, odd visibility flags, rows of another task, polygons of two points: wrong, but trained on."""

BESIDES = {
    # Training cuts the keypoints off before it looks at them.
    "detect, set has 2 keypoints": {"L001", "L002", "L003", "L004"},
    "segment, set has 2 keypoints": {"L001", "L002", "L003", "L004"},
    # It looks at the keypoints in place of the box.
    "pose 17x3": {"B003", "L004"},
    "pose 2x2": {"B003", "L004"},
    # Beside polygons, a row of one or two points is one more polygon to it.
    "segment": {"L002"},
    "obb": {"L002"},
    "detect": {"L002"},
    "detect, classes unknown": {"L002"},
}


def judged(contents: list[bytes], spec: TaskSpec) -> tuple[list[bool], list[set[str]]]:
    """(dropped by training, codes of the errors), of each file."""
    labels = [f"/d/labels/{i}.txt" for i in range(len(contents))]
    images = [f"/d/images/{i}.jpg" for i in range(len(contents))]
    table = parse_labels(contents, spec)
    header = images_not_read(len(contents))
    dropped = verdicts(table, header, spec).dropped.tolist()
    codes: dict[str, set[str]] = {f"labels/{i}.txt": set() for i in range(len(contents))}
    tables = ChunkTables(Chunk("train", images, labels), table, header)
    for finding in run_chunk(tables, spec, RULESET, "/d"):
        if finding.severity is Severity.ERROR and finding.label:
            codes[finding.label].add(finding.rule)
    return dropped, list(codes.values())


@pytest.mark.parametrize("name", SPECS)
def test_what_training_drops_is_named_and_nothing_else(name: str) -> None:
    spec = SPECS[name]

    @settings(
        max_examples=examples(40),
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(st.lists(label_files(spec), min_size=12, max_size=12))
    def compare(contents: list[bytes]) -> None:
        for content, dropped, codes in zip(contents, *judged(contents, spec), strict=True):
            if dropped:
                assert codes, content
            else:
                assert codes <= ERRORS_TRAINING_KEEPS | BESIDES[name], content

    compare()
