"""The rooms of the house: a module imports only from rooms below its own, and no modules import each other in a circle.

All imports count: those at the top of a module, those inside functions, and those for type checkers.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from room_map import load_map

PACKAGE = Path(__file__).parents[1] / "sanitizer"

ROOMS = load_map()
"""scripts/map: it has the order of the rooms, and draws them."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """`labels` of sanitizer.labels.encodings; "" of the package itself, which is the public face of all rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else ""


def imported_by(module: str) -> set[str]:
    """Names of all modules, of any package, that a module imports anywhere in its text."""
    names = {name for name, _, _ in ROOMS.imports_in(MODULES[module].read_bytes())}
    return {name if name in MODULES else name.rpartition(".")[0] or name for name in names} - {module}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return {module: imported_by(module) for module in MODULES}


def test_no_import_leads_upwards() -> None:
    upwards = [f"{i.file}:{i.line} imports from {i.imported}" for i in ROOMS.find_imports() if i.goes_up]
    assert not upwards


def test_no_circle_of_modules(imports: dict[str, set[str]]) -> None:
    known = {module: names & MODULES.keys() - {"sanitizer"} for module, names in imports.items()}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_one_room_imports_ultralytics(imports: dict[str, set[str]]) -> None:
    others = {
        module
        for module, names in imports.items()
        if any(name.partition(".")[0] == "ultralytics" for name in names)
    }
    assert {room_of(module) for module in others} == {"ultra"}


def test_every_room_says_what_it_holds() -> None:
    for room in {room_of(module) for module in MODULES} - {"", "config"}:
        text = (PACKAGE / room / "__init__.py").read_text("utf-8")
        assert re.match(r'"""[A-Z][^"]{40,}', text), room


def test_rooms_are_small_enough_to_see_at_once() -> None:
    crowded = {
        str(folder.relative_to(PACKAGE)): n
        for folder in {path.parent for path in MODULES.values()}
        if (n := sum(1 for p in folder.glob("*.py") if p.name != "__init__.py")) > 16
    }
    assert not crowded
