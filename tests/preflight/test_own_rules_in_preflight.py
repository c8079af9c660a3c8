"""Rules of a user's own pack in the preflight: what they are about decides where they stand, not their code."""

from __future__ import annotations

import pytest
from tiny_sets import tiny_set

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.config import Config
from sanitizer.preflight.checklist import area_lines
from sanitizer.preflight.concerns import concerns
from sanitizer.preflight.flight import Preflight, preflight

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

ROW_CODES = ("IMG1", "G1", "T1", "D1")
ROW_RULE = """\
- code: {code}
  name: own-{name}
  scope: row
  severity: warning
  when: h > 0
  message: "own rule {code}"
"""
IMAGE_RULE = """\
- code: B1
  name: narrow-image
  scope: file
  about: image
  severity: warning
  when: img_w > 0
  message: "narrow"
"""


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Preflight:
    folder = tmp_path_factory.mktemp("own")
    data = tiny_set(folder / "set", train=8, val=2)
    pack = folder / "own.yaml"
    rules = [ROW_RULE.format(code=code, name=code.lower()) for code in ROW_CODES]
    pack.write_text("".join([*rules, IMAGE_RULE]))
    overrides = {"imgsz": 64, "batch": 8, "device": "cpu"}
    return preflight(str(data), "yolov8n.yaml", overrides, config=Config(packs=(str(pack),)), probing=False)


def test_rules_on_rows_stand_under_labels_whatever_their_codes(flight: Preflight) -> None:
    said = {line.area: line.text for line in area_lines(flight)}
    for code in ROW_CODES:
        name = f"own-{code.lower()}"
        counted = sum(f.rule == code for f in flight.report.findings)
        assert counted, code
        assert [area for area, text in said.items() if name in text or "and 1 more" in text][:1] == ["labels"]
        assert not any(name in text for area, text in said.items() if area != "labels"), said


def test_a_rule_about_the_image_stands_under_images(flight: Preflight) -> None:
    said = {line.area: line.text for line in area_lines(flight)}
    assert "B1 narrow-image" in said["images"]


def test_each_rule_on_rows_is_a_concern_of_its_own_and_weighs_as_rows_do(flight: Preflight) -> None:
    found = {c.what.split()[0]: c for c in concerns(flight) if "own-" in c.what or "narrow" in c.what}
    assert set(found) == {*ROW_CODES, "B1"}
    assert {found[code].weight for code in ROW_CODES} == {2.5}, "1.5 for rows, and every row has it"
    assert found["B1"].weight == 3, "2 for images, and every image has it"
