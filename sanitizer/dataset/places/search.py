"""How a dataset was found, kept to explain what is missing in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_paths import SplitPaths


@dataclass(frozen=True, slots=True)
class Search:
    """How the loose files of a dataset were found.

    Attributes:
        listing: Knows the folders that were listed for it, but for large ones.
        paths: What became of the paths of the data.yaml; None without one.
        lists: Split name to its lists of images.
    """

    listing: Listing
    paths: SplitPaths | None = None
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
