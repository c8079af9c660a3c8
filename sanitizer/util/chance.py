"""How likely a count is by chance."""

from __future__ import annotations

import math


def at_least_by_chance(k: int, n: int, p: float) -> float:
    """Chernoff's upper bound for the chance of k or more hits in n tries that each hit with chance p (0 < p < 1).

    exp(-n KL(k/n || p)), 1 where k/n is not above p. Right for any n, and exact where all tries hit.
    """
    if n == 0 or k <= n * p:
        return 1.0
    share = k / n
    divergence = share * math.log(share / p)
    if k < n:
        divergence += (1 - share) * math.log((1 - share) / (1 - p))
    return math.exp(-n * divergence)


def expected_share(k: int, n: int) -> float:
    """The share that k hits in n tries let expect of the next try, by Laplace's rule of succession: never 0 or 1."""
    return (k + 1) / (n + 2)
