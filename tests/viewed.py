"""A view as `sanitize fix --view` writes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sanitizer.archives.finding import find_loose_dataset
from sanitizer.view import fixing

if TYPE_CHECKING:
    from sanitizer.view.write import View


def fix_into_view(path: str | os.PathLike[str], out: str, **options: Any) -> View:
    """The view of the dataset at a path."""
    return fixing.fix_into_view(find_loose_dataset([os.fspath(path)]), out, **options)
