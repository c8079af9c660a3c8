"""The command line: finds the command, imports it, runs it, and turns every failure into one sentence."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from sanitizer import __version__
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

OK, FOUND, FAILED, INTERRUPTED = 0, 1, 2, 130
"""Exit status: nothing to report, findings, wrong usage or unreadable input, interrupted."""

COMMANDS = {
    "scan": "name every label and image that training would drop, misread or choke on",
    "fix": "repair label files: what is safe, or with --unsafe what removes boxes, too",
    "undo": "take a fix back, byte for byte",
    "probe": "name the images and label lines behind loss spikes, by a short training run",
    "preflight": "say why a training run would fail, before it starts: dataset, recipe, gradients",
    "train": "train through Ultralytics with clipped steps, on a clean view of the dataset",
    "report": "turn a saved report into a page, a sheet, or a file for Label Studio or CVAT",
    "rules": "list the rules, or explain one",
    "demo": "make a small flawed dataset and scan it",
}


class UsageError(Exception):
    """What was asked for makes no sense; the text is a sentence."""


class Parser(argparse.ArgumentParser):
    """argparse, with one line in place of its usage text, and a guess at what was meant."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; argparse would print and exit."""
        raise UsageError(message)

    def parse_all(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse, refusing what is left over with a guess at the option that was meant."""
        args, extra = self.parse_known_intermixed_args(argv)
        if extra:
            option = extra[0].partition("=")[0]
            raise UsageError(
                f"there is no {option!r} here{did_you_mean(option, self._option_string_actions)}"
            )
        return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1, 2 or 130."""
    _open_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    who = f"sanitize {command}" if command else "sanitize"
    try:
        status = _run(command, arguments[1:]) if command else _top_level(arguments)
        _flush_stdout()
    except KeyboardInterrupt:
        return _fail("interrupted", who, INTERRUPTED)
    except SystemExit as leave:  # argparse, after --help and --version
        return leave.code if isinstance(leave.code, int) else OK
    except BrokenPipeError:
        # Whoever read stdout has seen enough, as `head` does.
        silence_stdout()
        return OK
    except Exception as error:
        if "SANITIZE_TRACEBACK" in os.environ:
            raise
        if isinstance(error, OSError):
            silence_stdout()
        return _fail(sentence(error), who)
    return status


def _open_closed_streams() -> None:
    """Give what is written to a closed stdout or stderr to nobody; else a file that is opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                free = os.open(os.devnull, os.O_RDWR)
                if free != number:
                    os.dup2(free, number)
                    os.close(free)
                stream = os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)
                setattr(sys, name, stream)


def _run(command: str, arguments: Sequence[str]) -> int:
    # NumPy's linear algebra is not used here; its threads are a quarter of the time that importing NumPy takes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module: ModuleType = importlib.import_module(f"sanitizer.cli.{command}")
    parser = Parser(
        prog=f"sanitize {command}",
        usage=module.USAGE,
        description=module.__doc__,
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_all(arguments)))


def _top_level(arguments: Sequence[str]) -> int:
    """No command was given: help, the version, or a mistake."""
    width = max(map(len, COMMANDS)) + 2
    lines = "\n".join(f"  {name:<{width}}{about}" for name, about in COMMANDS.items())
    parser = Parser(
        prog="sanitize",
        usage="sanitize COMMAND …",
        description=f"Preflight for YOLO training.\n\ncommands:\n{lines}",
        epilog="`sanitize COMMAND --help` says more. Start with: sanitize scan data.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sanitize {__version__}")
    first = next((a for a in arguments if not a.startswith("-")), None)
    if not arguments:
        parser.print_help(sys.stderr)
        return FAILED
    if first is not None and not {"-h", "--help", "--version"} & set(arguments):
        if os.path.exists(first):
            raise UsageError(f"{first!r} is no command: try `sanitize scan {first}`")
        guess = did_you_mean(first, COMMANDS) or f": there are {', '.join(COMMANDS)}"
        raise UsageError(f"{first!r} is no command{guess}")
    parser.parse_all(arguments)
    return OK


def is_ours(error: Exception) -> bool:
    """Whether it is an exception of this package, whose text is a sentence for people."""
    return type(error).__module__.partition(".")[0] == "sanitizer"


def sentence(error: Exception) -> str:
    """What our own exceptions and the system say; any other exception is a defect, and says how to report it.

    What Ultralytics or PyTorch raises may be a defect of theirs, as some versions cannot train every task.
    """
    text = (str(error).splitlines() or [""])[0]
    if is_ours(error) and not isinstance(error, OSError):
        return text
    if isinstance(error, OSError):
        return (
            f"{error.filename}: {error.strerror or text}" if error.filename else str(error.strerror or text)
        )
    if isinstance(error, MemoryError):
        return "out of memory"
    about = f"{type(error).__name__}: {text}" if text else type(error).__name__
    package = _raised_in(error)
    if package in ("ultralytics", "torch"):
        version = getattr(sys.modules.get(package), "__version__", "")
        return (
            f"an error inside {package} {version} ({about}); SANITIZE_TRACEBACK=1 shows where. "
            "If the same training works without sanitize, please report it"
        )
    return f"a defect in sanitize ({about}); set SANITIZE_TRACEBACK=1 to see where, and please report it"


def _raised_in(error: Exception) -> str:
    """The package of the innermost function that an exception came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _fail(sentence: str, who: str, status: int = FAILED) -> int:
    """Print one line on stderr."""
    from sanitizer.util.escape import legible

    # Where even stderr is gone, the status says it.
    with contextlib.suppress(OSError, UnicodeError):
        print(f"{who}: {legible(sentence)}".encode(errors="replace").decode(), file=sys.stderr, flush=True)
    return status


def _flush_stdout() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def silence_stdout() -> None:
    """Keep the interpreter from complaining, at its end, about output that nobody can take."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
