"""Keeping Ultralytics' log off stdout, which belongs to the report."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

from ultralytics.utils import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def silent_ultralytics() -> Iterator[None]:
    """Errors alone are logged inside the block, and no deprecation of PyTorch's is shown."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(level)
