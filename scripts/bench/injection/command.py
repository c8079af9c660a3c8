"""The command line that the benchmarks of the probe have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from measure import RESULTS

if TYPE_CHECKING:
    from collections.abc import Sequence


def probe_parser(
    description: str | None,
    *,
    datasets: str = "folders with a data.yaml, for detection; only read",
    weights: str = "what the probe starts from",
    work: str = "folder for the copies and all that is kept",
    seeds: Sequence[int] = (0, 1, 2),
) -> argparse.ArgumentParser:
    """A parser with datasets, weights, seeds, folders and the probe's size; the texts are helps, `seeds` a default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", help=datasets)
    parser.add_argument("--weights", required=True, help=weights)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[*seeds])
    parser.add_argument("--work", required=True, help=work)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    return parser
