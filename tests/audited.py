"""Runs commands of `sanitize` in a process whose every deed is written down, by Python's audit hooks (PEP 578).

Tests call `audited`; what it starts is this file as a program.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CANARY = "canary7f3a"
"""Stands in everything that a hostile dataset carries: where it is compiled, something of the dataset is."""
REPOSITORY = Path(__file__).parents[1]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.link": ((1, 3),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.truncate": ((0, None),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
}
"""Audit event to the places, among its arguments, of paths that change and of the folders these are relative to."""
_NETWORK = (
    "urllib.",
    "ftplib.",
    "http.client.",
    "imaplib.",
    "poplib.",
    "smtplib.",
    "telnetlib.",
    "webbrowser.",
)
_PROCESSES = {"subprocess.Popen", "pty.spawn"}
_PROCESSES |= {f"os.{name}" for name in ("system", "exec", "posix_spawn", "spawn", "startfile", "forkpty")}

_OUR_PIPES = ("multiprocessing/connection.py", "multiprocessing/queues.py", "multiprocessing/spawn.py")
"""What our own processes hand to each other is pickled."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a command did.

    Attributes:
        command: Its number among the commands.
        kind: network, process, fork, unpickle, compile, run, read or change.
        what: The path, or what else says more.
        event: The audit event.
    """

    command: int
    kind: str
    what: str
    event: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What commands did, in order, and how each ended."""

    deeds: Sequence[Deed]
    statuses: Sequence[int]
    stderr: str

    def of(self, *kinds: str) -> list[Deed]:
        """Deeds of these kinds."""
        return [deed for deed in self.deeds if deed.kind in kinds]


def audited(
    commands: Sequence[Sequence[str]],
    folder: Path,
    watched: Path,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
) -> Audit:
    """Run commands, one after the other, in one process.

    Args:
        commands: The arguments of each.
        folder: Where the log is kept.
        watched: Code that lies below it must not run.
        cwd, env, timeout_s: As for `subprocess.run`.
    """
    log, asked = folder / "deeds.jsonl", folder / "commands.json"
    log.write_bytes(b"")
    asked.write_text(json.dumps([list(map(str, command)) for command in commands]))
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    program = [sys.executable, *safe_path, __file__, str(log), str(asked), str(watched)]
    run = subprocess.run(program, capture_output=True, cwd=cwd, env=dict(env), timeout=timeout_s, check=False)
    stderr = run.stderr.decode("utf-8", "replace")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    statuses = [int(what) for _, kind, what, _ in lines if kind == "status"]
    assert len(statuses) == len(commands), f"{commands[len(statuses)]} ended the process:\n{stderr[-3000:]}"
    return Audit([Deed(*line) for line in lines if line[1] != "status"], statuses, stderr)


class Recorder:
    """The audit hook. Processes that we fork have it, too, and write to the same log."""

    def __init__(self, log: str, watched: str) -> None:
        self.command = 0
        self._watched = watched
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)

    def write(self, kind: str, what: str, event: str = "") -> None:
        os.write(self._log, json.dumps([self.command, kind, what, event]).encode() + b"\n")

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._open(*args)
        elif event == "compile":
            self._compile(*args)
        elif event == "exec":
            if getattr(args[0], "co_filename", "").startswith(self._watched):
                self.write("run", args[0].co_filename, event)
        elif event in _CHANGES:
            for path, folder in _CHANGES[event]:
                self.write("change", _path(args[path], -1 if folder is None else args[folder]), event)
        elif event in _PROCESSES:
            self.write("process", repr(args)[:300], event)
        elif event == "os.fork":
            self.write("fork", "", event)
        elif event == "pickle.find_class":
            if not _called_by(*_OUR_PIPES):
                self.write("unpickle", repr(args[1:]), event)
        elif event.startswith(_NETWORK):
            self.write("network", repr(args)[:300], event)
        elif event.startswith("socket."):
            self._socket(event, args)

    def _open(self, path: object, _mode: object, flags: int) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            self.write("change" if flags & _WRITING else "read", _path(path, -1), "open")

    def _compile(self, source: object, _filename: object) -> None:
        text = source if isinstance(source, bytes) else str(source).encode("utf-8", "replace")
        # `ast.parse` makes a tree and no code.
        if CANARY.encode() in text and not _called_by("/ast.py"):
            self.write("compile", repr(source)[:300], "compile")

    def _socket(self, event: str, args: tuple[Any, ...]) -> None:
        """Pairs of local sockets are pipes between our own processes; names and addresses are the network."""
        local = event == "socket.__new__" and args[1] in (socket.AF_UNIX, -1)
        if not local and event not in ("socket.gethostname",):
            self.write("network", repr(args[1:])[:300], event)


def _path(path: Any, folder: int) -> str:
    """Absolute, as far as can be told; `folder` is the descriptor that it is relative to, or -1."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    text = os.fsdecode(path)
    if folder >= 0 and not os.path.isabs(text):
        text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    return os.path.normpath(os.path.join(os.getcwd(), text))


def _called_by(*endings: str) -> bool:
    """Whether a function of one of these files is at work."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.replace(os.sep, "/").endswith(endings):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def main() -> None:
    log, asked, watched = sys.argv[1:]
    commands = json.loads(Path(asked).read_text())
    sys.path.insert(0, str(REPOSITORY))
    recorder = Recorder(log, watched)
    sys.addaudithook(recorder)
    from sanitizer.cli import main as sanitize

    for recorder.command, command in enumerate(commands):
        recorder.write("status", str(sanitize(command)))


if __name__ == "__main__":
    main()
