"""The rooms of the house: a module imports only from rooms below its own, and no modules import each other in a circle.

All imports count: those at the top of a module, those inside functions, and those for type checkers.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sanitizer"

FLOORS = [
    {"util"},
    {"storage"},
    {"findings"},
    {"config"},
    {"dataset"},
    {"images", "labels"},
    {"ultra"},
    {"rules"},
    {"diagnosis"},
    {"archives"},
    {"scanner"},
    {"reports"},
    {"fixes"},
    {"view"},
    {"train"},
    {"probe"},
    {"preflight"},
    {"cli"},
]
"""From the ground up. Rooms of one floor do not know each other."""

FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


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
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found


IMPORTS = {module: imported_by(module) for module in MODULES}


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} - {""} <= FLOOR_OF.keys()


def test_no_import_leads_upwards() -> None:
    upwards = [
        f"{module} imports {other}"
        for module, imports in IMPORTS.items()
        for other in sorted(imports & MODULES.keys())
        if room_of(module) and room_of(other) and room_of(module) != room_of(other)
        if FLOOR_OF[room_of(module)] <= FLOOR_OF[room_of(other)]
    ]
    assert not upwards


def test_no_circle_of_modules() -> None:
    known = {module: imports & MODULES.keys() - {"sanitizer"} for module, imports in IMPORTS.items()}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_one_room_imports_ultralytics() -> None:
    others = {
        module
        for module, imports in IMPORTS.items()
        if any(name.partition(".")[0] == "ultralytics" for name in imports)
    }
    assert {room_of(module) for module in others} == {"ultra"}


def test_every_room_says_what_it_holds() -> None:
    for room in FLOOR_OF.keys() - {"config", "diagnosis"}:
        text = (PACKAGE / room / "__init__.py").read_text("utf-8")
        assert re.match(r'"""[A-Z][^"]{40,}', text), room


def test_rooms_are_small_enough_to_see_at_once() -> None:
    crowded = {
        str(folder.relative_to(PACKAGE)): n
        for folder in {path.parent for path in MODULES.values()}
        if (n := sum(1 for p in folder.glob("*.py") if p.name != "__init__.py")) > 16
    }
    assert not crowded
