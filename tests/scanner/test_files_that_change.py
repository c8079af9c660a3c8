"""Files that change while a scan looks at them again and again: each is judged alone, and nothing hangs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from example_files import image_bytes
from strange_files import STRANGE, put, within

import sanitizer.scanner.chunks
import sanitizer.scanner.run
from sanitizer import scan
from sanitizer.reports.formats import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sanitizer import Report

pytestmark = pytest.mark.thorough

PAIRS = 8
CHANGED = 3
"""The pair that something happens to. It is a copy of the first one, and its labels differ."""


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 100_000)


def _shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


CHANGES: dict[str, Callable[[Path], None]] = {
    **{kind: lambda path, kind=kind: put(kind, path) for kind in STRANGE},  # type: ignore[misc]
    "grown": _grow,
    "shrunk": _shrink,
    "empty": lambda path: os.truncate(path, 0),
}
STAGES = {
    "after listing": (sanitizer.scanner.run, "run_job"),
    "after labels": (sanitizer.scanner.chunks, "read_images"),
    "after headers": ("sanitizer.images.image_files", "decode_one"),
    "between two reads": ("sanitizer.images.decode", "check_image"),
    "before pixels": ("sanitizer.images.decode", "decode"),
    "after hashing": (sanitizer.scanner.run, "dataset_findings"),
    "after bytes": ("sanitizer.rules.checks.copies", "Copy"),
    "after copies": ("sanitizer.labels.label_files", "read_labels"),
}
"""When it happens: before this function is called for the first time."""


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for i in range(PAIRS):
        name = f"{i}.jpg" if i % 2 else f"{i}.png"
        content = image_bytes(f"{64 + 8 * i}x48", name)
        if i == CHANGED:
            name, content = f"{i}.png", image_bytes("64x48", "0.png")
        (tmp_path / "set/images" / name).write_bytes(content)
        (tmp_path / f"set/labels/{i}.txt").write_text(f"0 0.5 0.5 0.{i + 1} {0 if i == 6 else 0.4}\n")
    path = tmp_path / "set" / "data.yaml"
    path.write_text("train: images\nval: images\nnames: [a]\n")
    return path


def scanned(path: Path) -> Report:
    return scan(path, jobs=1, images="decode", cache=False)


def happens(
    monkeypatch: pytest.MonkeyPatch, stage: tuple[Any, str], what: Callable[[], None]
) -> Callable[[], bool]:
    """Have it happen at that stage; tells whether it has."""
    where, name = stage
    place = where if not isinstance(where, str) else __import__(where, fromlist=["x"])
    real, done = getattr(place, name), list[bool]()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            what()
        return real(*args, **kwargs)

    monkeypatch.setattr(place, name, wrapped)
    return lambda: bool(done)


def of_others(report: Report) -> set[tuple[str, str | None, str]]:
    """What is said of all pairs but the changed one and its original."""
    told = {(f.rule, f.file, f.message) for f in report.findings if f.rule[0] in "BCLI"}
    about = (f"/{CHANGED}.", "/0.")
    return {(rule, file, text) for rule, file, text in told if not any(a in f"{file}" for a in about)}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stage", STAGES)
def test_an_image_that_changes_between_two_looks_is_judged_alone(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, change: str
) -> None:
    expected = of_others(scanned(data_yaml))
    image = data_yaml.parent / f"images/{CHANGED}.png"
    happened = happens(monkeypatch, STAGES[stage], lambda: CHANGES[change](image))
    with within(20):
        report = scanned(data_yaml)
        assert happened()
        assert of_others(report) == expected
        if stage in ("after listing", "after labels"):
            assert {f.rule for f in report.findings if f.image == f"images/{CHANGED}.png"} & {
                "I001",
                "I002",
                "I006",
            } or change == "grown"
        write(report, str(tmp_path / "page.html"), None, progress=False)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stage", ["after listing", "after hashing", "after copies"])
def test_a_label_that_changes_between_two_looks_is_judged_alone(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, change: str
) -> None:
    if change == "sparse file of 64 GB":
        pytest.skip("the size of labels has a limit of its own")
    expected = of_others(scanned(data_yaml))
    label = data_yaml.parent / f"labels/{CHANGED}.txt"
    happened = happens(monkeypatch, STAGES[stage], lambda: CHANGES[change](label))
    with within(20):
        report = scanned(data_yaml)
        assert happened()
        assert of_others(report) == expected
        write(report, str(tmp_path / "page.html"), None, progress=False)


@pytest.mark.parametrize("kind", ["images", "labels"])
@pytest.mark.parametrize("change", [kind for kind in STRANGE if kind != "sparse file of 64 GB"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_that_changes_between_two_looks_does_not_end_the_scan(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, change: str, kind: str
) -> None:
    happened = happens(monkeypatch, STAGES[stage], lambda: put(change, data_yaml.parent / kind))
    with within(20):
        report = scanned(data_yaml)
        assert report.summary.images == PAIRS
        write(report, str(tmp_path / "page.html"), None, progress=False)
    assert happened() or kind == "images"
