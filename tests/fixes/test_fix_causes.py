"""What fix does under causes: all rows of a file are read anew or none, and what that throws away is said."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

import numpy as np
from viewed import fix_into_view
from written_sets import WAYS, Truth, plain, texts, truth, turned, write_set

from sanitizer.cli import main
from sanitizer.fixes.fixing import fix
from sanitizer.fixes.outcomes import outcome_lines
from sanitizer.fixes.undo import undo
from sanitizer.reports.formats import render
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from sanitizer.fixes.fixing import FixResult
    from sanitizer.fixes.outcomes import CauseOutcome

TRUE: Truth = truth(np.random.default_rng(3))
RIGHT = texts(TRUE.rows, TRUE.sizes, plain)


def write(folder: Path, way: str, **changed: str) -> Path:
    """A set of eight files in one way; `changed` holds other text for some of them, as `_3` for file 3."""
    labels = texts(TRUE.rows, TRUE.sizes, WAYS[way])
    for name, text in changed.items():
        labels[int(name[1:])] = text
    return write_set(folder, labels, TRUE.sizes)


def labels(data: Path) -> list[str]:
    files = sorted(data.parent.glob("labels/*/*.txt"), key=lambda path: int(path.stem))
    return [file.read_text() for file in files]


def is_close(text: str, right: str) -> bool:
    now, true = (np.array([row.split() for row in t.splitlines()], float) for t in (text, right))
    return now.shape == true.shape and bool(np.abs(now - true).max() < 2e-5)


def outcome(result: FixResult, cause: str) -> CauseOutcome:
    (found,) = (o for o in result.outcomes if o.cause.id == cause)
    return found


def test_percent_is_read_anew_and_undone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, "percent")
    before = labels(data)
    assert main(["fix", str(data)]) == 0
    said = capsys.readouterr().err
    assert labels(data) == before
    assert "percent-coordinates: 8 label files are left as they are; --unsafe reads them anew" in said

    assert main(["fix", str(data), "--unsafe"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert all(map(is_close, labels(data), RIGHT))
    assert said[0].startswith("percent-coordinates: 48 rows of 8 label files were turned from percent")
    assert said[1:3] == [
        "Changed 8 label files.",
        "No box lost. Training gets 8 images back that it would have dropped.",
    ]
    undo(data)
    assert labels(data) == before


def test_a_file_with_a_row_that_does_not_fit_is_left_alone_and_named(tmp_path: Path) -> None:
    odd = "0 50 50 20 20\n1 150 50 20 20\n"
    data = write(tmp_path, "percent", _0=odd)
    result = fix(data, unsafe=True)
    assert labels(data)[0] == odd
    assert all(map(is_close, labels(data)[1:], RIGHT[1:]))
    (line,) = outcome_lines(result.outcomes, would=False)
    assert (
        "1 label file is left as it is (labels/train/0.txt: line 2 is not class, x and y of the centre"
        in line
    )


def test_what_is_thrown_away_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path, "confidence")
    assert main(["fix", str(data), "--unsafe", "--diff"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("# confidence: 48 rows of 8 label files")
    assert "would lose the confidence" in shown.out.splitlines()[0]
    assert "No box would be lost, but the confidence of 48 rows." in shown.err


def test_an_angle_is_not_dropped(tmp_path: Path) -> None:
    """No row tells which way angles turn, so there are two readings; the upright box is neither."""
    rng = np.random.default_rng(5)
    true = truth(rng, n_files=10, n_rows=8, side=0.12)
    turns = rng.uniform(0, 3.1, 80).tolist()
    written = texts(true.rows, true.sizes, lambda row, size: turned(row, size, True, turns.pop()))
    data = write_set(tmp_path, written, true.sizes, task="obb")
    result = fix(data, unsafe=True)
    assert labels(data) == written
    assert "left as they are" in outcome_lines(result.outcomes, would=False)[0]


def test_where_two_readings_fit_nothing_is_done(tmp_path: Path) -> None:
    """In images of 100 x 100, percent and pixels are the same; in others of that size they need not be."""
    written = texts(TRUE.rows, [(100, 100)] * 8, WAYS["pixels"])
    data = write_set(tmp_path, written, [(100, 100)] * 8)
    result = fix(data, unsafe=True)
    assert labels(data) == written
    (line,) = outcome_lines(result.outcomes, would=False)
    assert "percent" in line and "pixels" in line and "8 label files are left as they are" in line


def test_single_files_have_no_set_that_a_cause_could_hold_for(tmp_path: Path) -> None:
    data = write(tmp_path, "percent")
    before = labels(data)
    assert fix(*sorted(tmp_path.glob("labels/*/*.txt")), unsafe=True).run is None
    assert labels(data) == before


def test_ids_are_counted_from_zero_in_all_files_or_in_none(tmp_path: Path) -> None:
    """Only the highest id is a finding; a file without one is changed too."""
    data = write(tmp_path / "a", "ids-from-one")
    (tmp_path / "a/labels/train/1.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    before = labels(data)
    os.link(tmp_path / "a/labels/train/1.txt", tmp_path / "other-name")
    result = fix(data, unsafe=True)
    assert labels(data) == before
    assert outcome(result, "ids-from-one").left == 8
    assert "hard links" in outcome_lines(result.outcomes, would=False)[0]

    (tmp_path / "other-name").unlink()
    assert fix(data, unsafe=True).run is not None
    assert labels(data)[1] == "0 0.5 0.5 0.2 0.2\n"
    assert all(map(is_close, labels(data)[2:], RIGHT[2:]))


def decided(data: Path, path: Path, decisions: Sequence[tuple[str, str]]) -> Path:
    """The findings sheet, with a decision on findings of each label file that is named."""
    rows = list(csv.DictReader(io.StringIO("".join(render(scan(data, cache=False), "csv")).lstrip("\ufeff"))))
    for row in rows:
        row["decision"] = dict(decisions).get(row["label"], "")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_person_decides_on_all_findings_of_a_file(tmp_path: Path) -> None:
    data = write(tmp_path / "set", "percent")
    before = labels(data)
    sheet = decided(data, tmp_path / "sheet.csv", [("labels/train/2.txt", "fix")])
    result = fix(data, decisions=sheet)
    assert not result.refused
    assert is_close(labels(data)[2], RIGHT[2])
    assert labels(data)[:2] + labels(data)[3:] == before[:2] + before[3:]
    undo(data)

    lines = sheet.read_text().splitlines()
    first = next(i for i, line in enumerate(lines[1:], 1) if ",fix," in line)
    sheet.write_text("\n".join([*lines[:first], lines[first].replace(",fix,", ",,"), *lines[first + 1 :]]))
    refused = fix(data, decisions=sheet).refused
    assert labels(data) == before
    assert "all rows of a file are read anew, or none" in refused[0]


def test_a_person_decides_on_a_whole_cause(tmp_path: Path) -> None:
    data = write(tmp_path / "set", "percent")
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("rule,fingerprint,cause,decision\n,,percent-coordinates,fix\n,,no-such-cause,fix\n")
    result = fix(data, decisions=sheet)
    assert all(map(is_close, labels(data), RIGHT))
    assert [sentence.rpartition(": ")[2] for sentence in result.refused] == [
        "no cause of the dataset as it is now has this id; not applied"
    ]


def test_a_view_follows_the_same_rules(tmp_path: Path) -> None:
    data = write(tmp_path / "set", "confidence")
    before = labels(data)
    view = fix_into_view(data, out=str(tmp_path / "view"), unsafe=True)
    copies = sorted((tmp_path / "view").glob("labels/*/*.txt"), key=lambda path: int(path.stem))
    assert all(is_close(copy.read_text(), right) for copy, right in zip(copies, RIGHT, strict=True))
    assert labels(data) == before
    assert view.outcomes[0].loses == "the confidence"


def test_a_finding_has_the_fix_of_its_cause(tmp_path: Path) -> None:
    of_cause = scan(write(tmp_path / "a", "percent"), cache=False).findings
    assert {f.fix for f in of_cause if f.cause} == {"unsafe"}
    alone = write_set(tmp_path / "b", ["0 320 240 256 144\n", *RIGHT[1:]], TRUE.sizes)
    assert [f.fix for f in scan(alone, cache=False).findings if f.rule == "B011"] == [None]


def test_separators_stay_safe(tmp_path: Path) -> None:
    data = write(tmp_path, "comma-separated")
    assert {f.fix for f in scan(data, cache=False).findings if f.rule == "L003"} == {"safe"}
    fix(data)
    assert all(map(is_close, labels(data), RIGHT))


def test_many_boxes_beyond_the_edge_are_not_clipped(tmp_path: Path) -> None:
    """Top-left corners that too few rows tell for sure: clipping them would make a third thing."""
    few = truth(np.random.default_rng(3), n_files=4, n_rows=5)
    written = texts(few.rows, few.sizes, WAYS["top-left"])
    data = write_set(tmp_path, written, few.sizes)
    result = fix(data, unsafe=True)
    assert labels(data) == written
    assert result.notes or result.outcomes
