"""Loads scripts/map, which is a program and no module."""

from __future__ import annotations

import functools
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any
from unittest import mock

SCRIPT = Path(__file__).parents[1] / "scripts" / "map"


@functools.cache
def load_map() -> Any:
    """The script as a module; nothing of it is run or written."""
    loader = SourceFileLoader("room_map_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader("room_map_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["room_map_script"] = module
    with mock.patch.object(sys, "dont_write_bytecode", True):
        loader.exec_module(module)
    return module
