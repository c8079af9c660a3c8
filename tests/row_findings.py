"""What rules say of label text, without files: rows in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sanitizer.config import Config
from sanitizer.dataset.tables import Chunk, ChunkTables, ImageTable, Task, TaskSpec
from sanitizer.labels.label_files import parse_labels
from sanitizer.rules.engine import RuleSet, run_chunk
from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.config import RuleConfig
    from sanitizer.findings.finding import Finding

SPEC = TaskSpec("detect", 3, {0: "a", 1: "b", 2: "c"})
GEOMETRY = ("B", "C", "S", "K", "O")


def task_spec(task: Task, nc: int | None = 3, kpt_shape: tuple[int, int] = (0, 0)) -> TaskSpec:
    return TaskSpec(task, nc, {0: "a", 1: "b", 2: "c"} if nc else {}, kpt_shape)


def images_of(sizes: Sequence[tuple[int, int] | None]) -> ImageTable:
    """Sound images of these sizes; None for one that could not be read."""
    n = len(sizes)
    width, height = (np.array([-1 if s is None else s[i] for s in sizes], np.int32) for i in (0, 1))

    def zeros(dtype: type) -> np.ndarray:
        return np.zeros(n, dtype)

    return ImageTable(
        width=width, height=height, orientation=zeros(np.uint8), format=np.ones(n, np.uint8),
        channels=np.full(n, 3, np.uint8), bit_depth=np.full(n, 8, np.uint8), pages=np.ones(n, np.uint8),
        size_bytes=np.full(n, 9999), digest=zeros(np.uint64), status=zeros(np.uint8), rewritten=zeros(bool),
        dropped=zeros(bool),
        detail=np.full(n, None, object), decoded=zeros(bool), phash=zeros(np.uint64),
    )  # fmt: skip


def tables_of(
    texts: Sequence[str], spec: TaskSpec = SPEC, sizes: Sequence[tuple[int, int] | None] | None = None
) -> ChunkTables:
    """A chunk with one label text a file; images of 640 × 480 unless sizes say otherwise."""
    labels = parse_labels([t.encode() for t in texts], spec)
    names = [f"{i:04}" for i in range(len(texts))]
    chunk = Chunk("train", [f"/d/images/{n}.jpg" for n in names], [f"/d/labels/{n}.txt" for n in names])
    return ChunkTables(chunk, labels, images_of(sizes or [(640, 480)] * len(texts)))


def findings(
    text: str,
    spec: TaskSpec = SPEC,
    size: tuple[int, int] | None = (640, 480),
    select: Sequence[str] = GEOMETRY,
    rules: dict[str, RuleConfig] | None = None,
) -> list[Finding]:
    """What the geometry and class rules find in one label file, by line and code."""
    config = Config(select=tuple(select), rules=rules or {})
    ruleset = RuleSet.build(load_rules(), config)
    found = run_chunk(tables_of([text], spec, [size]), spec, ruleset, "/d")
    return sorted(found, key=lambda f: (f.line or 0, f.rule))


def codes(text: str, spec: TaskSpec = SPEC, size: tuple[int, int] | None = (640, 480)) -> list[str]:
    """The codes of `findings`, such as ["2 B001"]: line, then code."""
    return [f"{f.line} {f.rule}" for f in findings(text, spec, size)]
