"""Keeps Ultralytics' log out of stdout, where the report is printed."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

from sanitizer.ultra.library import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def silent_ultralytics() -> Iterator[None]:
    """Inside the block, Ultralytics logs errors only, and no warnings are shown."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(level)
