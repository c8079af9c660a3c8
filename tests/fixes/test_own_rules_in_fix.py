"""Rules of a user's own pack while labels are repaired: the words of their messages change nothing."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from example_files import build

from sanitizer.config import Config
from sanitizer.fixes.fixing import fix
from sanitizer.reports.formats import render
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "labels/train/example.txt"
OVER_THE_EDGE = "1 0.9 0.5 0.21 0.3"
SLIM = """\
- code: X1
  name: slim
  scope: row
  severity: error
  when: w < 0.208
  message: "{}"
"""


@pytest.mark.parametrize("message", ["too slim", "slimmer than 3 more rows of this file"])
def test_a_repair_that_leads_to_a_finding_of_an_own_rule_is_taken_back_whatever_it_says(
    message: str, tmp_path: Path
) -> None:
    build({"rows": OVER_THE_EDGE}, tmp_path / "set")
    (tmp_path / "own.yaml").write_text(SLIM.format(message))
    assert fix(tmp_path / "set").run is not None, "the repair is made where no rule is against it"
    (tmp_path / "set" / LABEL).write_text(f"{OVER_THE_EDGE}\n")
    fix(tmp_path / "set", config=Config(packs=(str(tmp_path / "own.yaml"),)))
    assert (tmp_path / "set" / LABEL).read_text() == f"{OVER_THE_EDGE}\n"


def test_a_decision_on_an_own_rule_about_images_is_found_again_by_decoding(tmp_path: Path) -> None:
    pack = tmp_path / "own.yaml"
    pack.write_text(
        "- {code: X1, name: cut-off, scope: file, about: image, severity: error, check: damaged-image,"
        ' message: "{what}: {detail}"}\n'
    )
    files = {"images/train/example.png": {"image": "640x480 png"}}
    build({"files": files, "remove": ["images/train/example.jpg"]}, tmp_path / "set")
    image = tmp_path / "set" / "images/train/example.png"
    content = image.read_bytes()
    middle = len(content) // 2
    image.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    damaged = Config(select=("I002",))
    assert not scan(str(tmp_path / "set"), config=damaged, images="header", cache=False).findings
    config = Config(packs=(str(pack),), select=("X1",))
    report = scan(str(tmp_path / "set"), config=config, images="decode", cache=False)
    sheet = tmp_path / "sheet.csv"
    rows = list(csv.reader(render(report, "csv").removeprefix("\ufeff").splitlines()))
    assert len(rows) == 2, rows
    rows[1][rows[0].index("decision")] = "drop"
    with open(sheet, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    result = fix(tmp_path / "set", config=config, decisions=str(sheet))
    assert "images are never deleted" in result.refused[0], "the finding is found, and is about a whole image"
