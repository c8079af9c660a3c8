"""Colours of classes, the same in every tool."""

from __future__ import annotations

import colorsys

_GOLDEN_RATIO = 0.618033988749895


def class_colour(number: int) -> str:
    """A colour as #rrggbb; neighbouring numbers are far apart, as each is a golden section round the circle further."""
    rgb = colorsys.hsv_to_rgb((number * _GOLDEN_RATIO) % 1, 0.75, 0.9)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
