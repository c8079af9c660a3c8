"""scripts/map: the table of rooms, and the arrows between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from room_map import load_map

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def map_() -> Any:
    return load_map()


def _package(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_map_in_the_source_is_up_to_date(map_: Any) -> None:
    assert map_.main(["--check"]) == 0


def test_imports_are_found_wherever_they_stand(map_: Any, tmp_path: Path) -> None:
    package = _package(
        tmp_path,
        {
            "__init__.py": "from sanitizer.cli import main\n",
            "cli/scan.py": "import importlib\n\nimport sanitizer.rules.engine\n"
            "def run():\n    from sanitizer.labels import fast\n"
            "    importlib.import_module(f'sanitizer.reports.{run}')\n",
            "labels/fast.py": "if TYPE_CHECKING:\n    from sanitizer.dataset.tables import Table\n",
            "dataset/tables.py": "from sanitizer import config\n",
        },
    )
    found = {(i.importer, i.imported, i.line, i.types_only) for i in map_.find_imports(package)}
    assert found == {
        ("cli", "rules", 3, False),
        ("cli", "labels", 5, False),
        ("cli", "reports", 6, False),
        ("labels", "dataset", 2, True),
        ("dataset", "config", 1, False),
    }


def test_an_import_from_a_room_above_is_drawn_as_going_up(map_: Any, tmp_path: Path) -> None:
    package = _package(
        tmp_path,
        {"labels/a.py": "import sanitizer.scanner.run\n", "scanner/run.py": "import sanitizer.labels.a\n"},
    )
    assert [(i.file, i.goes_up) for i in map_.find_imports(package)] == [
        ("labels/a.py", True),
        ("scanner/run.py", False),
    ]
    assert "labels -. up .-> scanner" in map_.drawing(package)
    assert "scanner --> labels" in map_.drawing(package)


def test_an_arrow_that_a_longer_way_shows_is_left_out(map_: Any, tmp_path: Path) -> None:
    files = {
        "cli/a.py": "import sanitizer.rules.b\nimport sanitizer.util.c\n",
        "rules/b.py": "import sanitizer.util.c\n",
        "util/c.py": "",
    }
    drawing = map_.drawing(_package(tmp_path, files))
    assert "cli --> rules" in drawing
    assert "rules --> util" in drawing
    assert "cli --> util" not in drawing


def test_a_folder_that_is_no_room_is_an_error(map_: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="attic is no room; add it to RANKS"):
        map_.find_modules(_package(tmp_path, {"attic/a.py": ""}))


def test_refreshing_keeps_what_people_wrote_and_ages_by_arrows_alone(
    map_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path / "p", {"cli/a.py": "import sanitizer.util.c\n", "util/c.py": "\n"})
    text = (
        f"before\n{map_.BEGIN}\n| room | holds |\n| --- | --- |\n| util | small things |\n{map_.END}\nafter\n"
    )
    new = map_.refreshed(text, package)
    assert "| util | small things | 1 | 1 | nothing |" in new
    assert "| cli | ? | 1 | 1 | util |" in new
    assert (new[:7], new[-7:]) == ("before\n", "\nafter\n")

    readme = tmp_path / "README.md"
    readme.write_text(new)
    monkeypatch.setattr(map_, "PACKAGE", package)
    monkeypatch.setattr(map_, "README", readme)
    (package / "util" / "c.py").write_text("\n" * 20)
    assert map_.main(["--check"]) == 0
    (package / "cli" / "a.py").write_text("")
    assert map_.main(["--check"]) == 1
