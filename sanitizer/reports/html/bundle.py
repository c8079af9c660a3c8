"""The scripts of the page as one script: a page that is opened from a disk may not load modules from other files."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_IMPORT = re.compile(r'^import \{[^{}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |let )", re.MULTILINE)


def bundle(folder: Traversable, entry: str) -> str:
    """One script of an ES module and all modules that it imports, each after those that it imports itself.

    All modules share one scope, so no two may declare the same name, and none may rename what it imports.

    Args:
        folder: Where the modules lie.
        entry: Name of the first module, without the file extension.

    Raises:
        graphlib.CycleError: Modules import each other in a circle.
    """
    texts: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = folder.joinpath(f"{name}.js").read_text("utf-8")
            waiting += _IMPORT.findall(texts[name])
    order = TopologicalSorter({name: _IMPORT.findall(text) for name, text in texts.items()}).static_order()
    parts = [_EXPORT.sub("", _IMPORT.sub("", texts[name])) for name in order]
    return "\n".join(['"use strict";', *parts])
