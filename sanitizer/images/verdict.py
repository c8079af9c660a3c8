"""The result of looking at one image."""

from __future__ import annotations

from dataclasses import dataclass

from sanitizer.dataset.tables import ImageStatus


@dataclass(slots=True)
class Verdict:
    """Facts of one image that is not plainly healthy.

    Attributes:
        width, height: Pixels as stored, -1 where unknown.
        facts: Orientation, format, channels and bit depth (`header.pack`).
        status, dropped, rewritten, detail: As the columns of `ImageTable`.
    """

    width: int = -1
    height: int = -1
    facts: int = 0
    status: ImageStatus = ImageStatus.OK
    dropped: bool = False
    rewritten: bool = False
    detail: str | None = None
