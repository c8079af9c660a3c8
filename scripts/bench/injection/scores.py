"""What a method says of a dataset: how suspicious each image is, and where it can, each line and place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METHODS = ("loss", "grad norm", "cleanlab", "scan", "probe", "scan + probe")
"""In the order of the tables."""
CLEANLAB_PARTS = ("cleanlab overlooked", "cleanlab badloc", "cleanlab swap")
"""What cleanlab's quality is pooled from: boxes not labelled, badly placed, of another class."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one method on one injected set; more is more suspicious.

    Attributes:
        images: Image path relative to the set to its score; an image that is not in it scores least.
        lines: Image to line number to score; None for a method that does not say.
        places: Image to points (x, y), normalised, where a box is said to be missing; None likewise.
        best_places: Image to the likeliest such point, whether the method reports it or not; None likewise.
        flagged: Images that the method itself reports; None for a method without a threshold of its own.
        p: Image to line number to the probability that the line is wrong; None for a method that does not say.
        named: Image to number of each line that the method reports, and the code of the rule; None likewise.
    """

    images: Mapping[str, float]
    lines: Mapping[str, Mapping[int, float]] | None = None
    places: Mapping[str, Sequence[tuple[float, float]]] | None = None
    flagged: Sequence[str] | None = None
    best_places: Mapping[str, tuple[float, float]] | None = None
    p: Mapping[str, Mapping[int, float]] | None = None
    named: Mapping[str, Mapping[int, str]] | None = None


def save_scores(scores: Mapping[str, Scores], path: str) -> None:
    """Write the scores of several methods as JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({name: asdict(s) for name, s in scores.items()}, file, indent=1)


def load_scores(path: str) -> dict[str, Scores]:
    """Read what `save_scores` wrote."""
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    for record in saved.values():
        for key in ("lines", "p", "named"):
            if record.get(key) is not None:  # JSON's keys are text
                record[key] = {i: {int(n): v for n, v in of.items()} for i, of in record[key].items()}
    return {name: Scores(**record) for name, record in saved.items()}
