"""Cards of the HTML page: which findings are looked up in their files again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from report_samples import finding

from sanitizer.dataset.left_out import ENDS_PROCESS
from sanitizer.dataset.tables import TaskSpec
from sanitizer.reports.html.cards import Group, make_cards

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.findings.finding import FindingKind

ROW = "0 0.5 0.5 0.4 0.3"


@pytest.mark.parametrize(("kind", "quoted"), [(None, ROW), ("ends-process", None)])
def test_a_file_is_left_alone_for_the_kind_of_a_finding_not_for_its_words(
    kind: FindingKind | None, quoted: str | None, tmp_path: Path
) -> None:
    label = tmp_path / "a.txt"
    label.write_text(f"{ROW}\n")
    found = finding("X1", f"our loader says that {ENDS_PROCESS}", "a.txt", 1, kind=kind)
    group = Group(None, str(label), [found], str(tmp_path), TaskSpec("detect", 1, {0: "a"}))
    assert [card.row for card in make_cards(group)] == [quoted]
