"""The annotator's sheet comes back from spreadsheets, and from people, and still decides the same."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from example_files import build
from report_samples import finding, report

from sanitizer.findings.finding import COLUMNS
from sanitizer.fixes.decisions import read_decisions
from sanitizer.fixes.fixing import fix
from sanitizer.reports.csv_ import CSV_COLUMNS, text_of
from sanitizer.reports.formats import render
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GOOD = "0 0.5 0.5 0.4 0.3"
CLASSES = ("=1+1", "@SUM(A1)", "-2+3", "'quoted", '=HYPERLINK("http://x")', "+49 30", 'ü; ö, "ä"', "007")
NAMES = ("2024-01-02", "0001", "a,b;c", 'q"uote', "new\nline", "ümlaut", "=1+1", "-1", "12e34", "1,5")
TEXT_COLUMNS = (
    "rule",
    "name",
    "severity",
    "split",
    "image",
    "label",
    "message",
    "suggestion",
    "fix",
    "fingerprint",
)
Row = dict[str, str]


def without_carriage_returns(text: str) -> str:
    """A spreadsheet may write a line break within a cell its own way."""
    return text.replace("\r\n", "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with every name that a spreadsheet might take for something else."""
    folder = tmp_path_factory.mktemp("round-trip") / "set"
    files: dict[str, object] = {}
    for number, name in enumerate(NAMES):
        # Outside by rounding, an exact copy, a size of zero; each class once.
        n = number % len(CLASSES)
        rows = f"{n} 0.9 0.5 0.21 0.3\n{GOOD}\n{GOOD}\n{n} 0.3 0.3 0 0.2{number}\n"
        files |= {f"images/train/{name}.jpg": {"image": "64x48"}, f"labels/train/{name}.txt": rows}
    build({"names": list(CLASSES), "files": files}, folder)
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    """The sheet with decisions filled in."""
    text = render(scan(folder), "csv").removeprefix("\ufeff")
    decisions = {"B004": "fix", "B007": "keep", "B002": "drop"}
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    # Nobody decided on these two, but their fingerprints look like numbers.
    found += [
        found[0] | {"fingerprint": f"'{number}", "rule": ""} for number in ("1" * 20, "12e34567890123456789")
    ]
    return [row | {"decision": decisions.get(row["rule"], ""), "comment": "ok, Größe?"} for row in found]


def written(rows: Sequence[Row], columns: Sequence[str] = CSV_COLUMNS, delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, delimiter=delimiter, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


Outcome = tuple[list[tuple[str, str, str]], dict[str, bytes]]


def outcome(folder: Path, sheet: Path) -> Outcome:
    """(fingerprint, decision and rule of each decided row, sorted; new bytes of each label file)."""
    decided = sorted((d.fingerprint, d.decision, d.rule) for d in read_decisions(str(sheet)))
    result = fix(folder, decisions=str(sheet), dry_run=True)
    assert list(result.refused) == []
    return decided, {file.path: file.plan.after for file in result.files}


@pytest.fixture(scope="module")
def expected(folder: Path, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    sheet = tmp_path_factory.mktemp("sheet") / "plain.csv"
    sheet.write_bytes(b"\xef\xbb\xbf" + written(rows).encode())
    found = outcome(folder, sheet)
    # Fixed, kept and dropped: three rows of each file.
    assert len(found[0]) == 3 * len(NAMES)
    assert found[1] == {
        f"labels/train/{name}.txt": f"{n % len(CLASSES)} 0.8975 0.5 0.205 0.3\n{GOOD}\n{GOOD}\n".encode()
        for n, name in enumerate(NAMES)
    }
    return found


# What people and programs do to a sheet.


def excel_german(rows: list[Row]) -> bytes:
    return written(rows, delimiter=";").encode("cp1252", "replace")


def mark_as_text(rows: list[Row]) -> bytes:
    """LibreOffice, told that UTF-8 is Latin, and saving as UTF-8."""
    return ('"ï»¿rule"' + written(rows).removeprefix("rule").encode().decode("latin-1")).encode()


CHANGES: dict[str, Callable[[list[Row]], bytes]] = {
    "without a mark": lambda rows: written(rows).encode(),
    "Excel, German": excel_german,
    "Excel, with its line on the delimiter": lambda rows: f"sep=;\r\n{written(rows, delimiter=';')}".encode(),
    "Excel, Unicode text": lambda rows: written(rows, delimiter="\t").encode("utf-16"),
    "UTF-16, big end first": lambda rows: b"\xfe\xff" + written(rows).encode("utf-16-be"),
    "Macintosh line ends": lambda rows: written(rows).replace("\r\n", "\r").encode(),
    "mark as text": mark_as_text,
    "mark within quotes": lambda rows: ('"\ufeffrule"' + written(rows).removeprefix("rule")).encode("utf-8"),
    "columns in another order": lambda rows: written(rows, CSV_COLUMNS[::-1]).encode(),
    "most columns deleted": lambda rows: written(rows, ("decision", "fingerprint", "rule")).encode(),
    "rows sorted": lambda rows: written(sorted(rows, key=lambda r: r["fingerprint"])).encode(),
    "undecided rows deleted": lambda rows: written([r for r in rows if r["decision"]]).encode(),
    "blank lines": lambda rows: ("\r\n,,,\r\n" + written(rows).replace("\nB0", "\n\r\n ,,\r\nB0")).encode(),
    "capitals and blanks": lambda rows: written(
        [r | {"decision": f" {r['decision'].title()} "} for r in rows]
    ).encode(),
    "capitals in column names": lambda rows: (
        ",".join(CSV_COLUMNS).upper() + written(rows).removeprefix(",".join(CSV_COLUMNS))
    ).encode(),
    "apostrophes taken away": lambda rows: written(
        [{k: text_of(v) for k, v in row.items()} for row in rows]
    ).encode(),
    "a column added": lambda rows: written([r | {"who": "me"} for r in rows], ("who", *CSV_COLUMNS)).encode(),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_form_change_no_decision(
    change: str, folder: Path, rows: list[Row], expected: Outcome, tmp_path: Path
) -> None:
    sheet = tmp_path / "reviewed.csv"
    sheet.write_bytes(CHANGES[change](rows))
    assert outcome(folder, sheet) == expected


def test_a_fingerprint_that_a_spreadsheet_rounded_is_reported(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    first = next(r for r in rows if r["decision"] == "fix")
    others = [r for r in rows if r["decision"] == "drop"]
    sheet = tmp_path / "reviewed.csv"
    sheet.write_text(written([first | {"fingerprint": "1.2E+34"}, *others]), encoding="utf-8")
    result = fix(folder, decisions=str(sheet), dry_run=True)
    assert [r.partition(": no finding of the dataset")[1] for r in result.refused] == [
        ": no finding of the dataset"
    ]
    assert {file.plan.removed for file in result.files} == {1}


@pytest.mark.parametrize("fingerprint", ["12345678901234567890", "12e45678901234567890", "e1234", "1234e"])
def test_fingerprints_that_look_like_numbers_come_back(fingerprint: str, tmp_path: Path) -> None:
    made = finding("B001", "box is 63:1", "labels/a.txt", 1)
    sample = report([made])
    made.fingerprint = fingerprint
    rows = list(csv.DictReader(io.StringIO(render(sample, "csv").removeprefix("\ufeff"), newline="")))
    sheet = tmp_path / "reviewed.csv"
    sheet.write_text(written([rows[0] | {"decision": "drop"}]), encoding="utf-8")
    assert [d.fingerprint for d in read_decisions(str(sheet))] == [fingerprint]


# The real LibreOffice.

UTF8_COMMA, UTF8_SEMICOLON, CP1252_SEMICOLON = "44,34,76,1", "59,34,76,1", "59,34,1,1"
OPENED_WELL = "CSV:44,34,76,1,,1033,false,true"
"""As in the dialog: comma, UTF-8, English, and numbers and dates recognised."""
GERMAN = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse">
<value>de-DE</value></prop></item></oor:items>
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Converts a file in LibreOffice, as opening and saving it does; gives the new file."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice (soffice) is not installed")
    profiles = {name: tmp_path_factory.mktemp(f"profile-{name}") for name in ("english", "german")}
    (profiles["german"] / "user").mkdir()
    (profiles["german"] / "user/registrymodifications.xcu").write_text(GERMAN)

    def convert(source: Path, to: str, options: str = "", opened: str = "", locale: str = "english") -> Path:
        target = source.parent / to / f"{source.stem}.{to}"
        form = f"csv:Text - txt - csv (StarCalc):{options}" if to == "csv" else to
        command = [program, f"-env:UserInstallation={profiles[locale].as_uri()}", "--headless"]
        command += [f"--infilter={opened}"] if opened else []
        command += ["--convert-to", form, "--outdir", str(target.parent), str(source)]
        subprocess.run(
            command, check=True, capture_output=True, timeout=180, env=os.environ | {"LC_ALL": "C.UTF-8"}
        )
        return target

    return convert


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "locale"),
    [
        (UTF8_COMMA, "english"),
        (UTF8_COMMA, "german"),
        (UTF8_SEMICOLON, "german"),
        (CP1252_SEMICOLON, "german"),
    ],
)
@pytest.mark.parametrize("by_way_of", ["csv", "xlsx", "ods"])
def test_libreoffice(
    by_way_of: str,
    options: str,
    locale: str,
    office: Callable[..., Path],
    folder: Path,
    rows: list[Row],
    expected: Outcome,
    tmp_path: Path,
) -> None:
    sheet = tmp_path / "reviewed.csv"
    sheet.write_bytes(b"\xef\xbb\xbf" + written(rows).encode())
    if by_way_of == "csv":
        back = office(sheet, "csv", options, OPENED_WELL, locale)
    else:
        back = office(
            office(sheet, by_way_of, opened=OPENED_WELL, locale=locale), "csv", options, locale=locale
        )
    assert outcome(folder, back) == expected
    encoding = "cp1252" if options == CP1252_SEMICOLON else "utf-8-sig"
    delimiter = "," if options == UTF8_COMMA else ";"
    with open(back, encoding=encoding, newline="") as file:
        returned = list(csv.DictReader(file, delimiter=delimiter))
    assert len(returned) == len(rows)
    columns = (*TEXT_COLUMNS, "decision", "comment")
    for row, before in zip(returned, rows, strict=True):
        if encoding == "utf-8-sig":
            assert {c: without_carriage_returns(row[c]) for c in columns} == {c: before[c] for c in columns}
            assert row["class_name"] in (before["class_name"], "7")
    assert set(COLUMNS) <= {name.lstrip("\ufeff") for name in returned[0]}
    decimals = "0,9" if locale == "german" else "0.9"
    assert any(row["x_center"] == decimals for row in returned)


@pytest.mark.slow
def test_libreoffice_that_takes_the_sheet_for_latin(
    office: Callable[..., Path], folder: Path, rows: list[Row], expected: Outcome, tmp_path: Path
) -> None:
    sheet = tmp_path / "reviewed.csv"
    sheet.write_bytes(b"\xef\xbb\xbf" + written(rows).encode())
    back = office(sheet, "csv", UTF8_COMMA)
    assert b"\xc3\xaf\xc2\xbb\xc2\xbf" in back.read_bytes()
    assert outcome(folder, back) == expected
