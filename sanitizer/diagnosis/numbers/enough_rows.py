"""How many rows it takes to believe in a way of writing."""

from __future__ import annotations

import math

SURE_SHARE = 0.8
"""The share of all rows that must be written so, at the least, by the rows that were seen: eleven that all are so say
as much. Only then may `fix` give numbers another meaning."""
SURE_FILES = 3
"""Files that such rows must be in: objects of one image may lie in one corner of it."""
SURE_SHARE_BY_COLUMNS = 0.5
"""The same where the columns themselves tell and the coordinates stay what they are: three rows that all are so."""
MOST_MISFITS = 0.03
"""Share of rows that may be wrong in themselves: published sets have one or two such rows in a hundred."""
MOST_AGAINST = 0.2
"""A reading that is right settles the rows that are outside now: at most a fifth as many may be outside under it."""
_Z = 1.645
"""Of a one-sided interval of 95 %."""


def at_least(fitting: int, n: int) -> float:
    """Lower end of Wilson's interval for the share of all rows that fit, of which `fitting` of `n` seen ones do."""
    if n == 0:
        return 0.0
    share, z2 = fitting / n, _Z * _Z
    spread = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (share + z2 / (2 * n) - spread) / (1 + z2 / n))


def almost_all(fitting: int, n: int) -> bool:
    """Whether all rows fit but for those that are wrong in any set."""
    return n > 0 and fitting >= n * (1 - MOST_MISFITS)
