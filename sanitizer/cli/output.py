"""What commands write to stdout, stderr and files, and the exit status that comes of it."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from sanitizer.cli import FOUND, OK, silence_stdout
from sanitizer.findings.finding import Severity
from sanitizer.reports.formats import LAYOUTS, pieces, write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from sanitizer.dataset.model import Dataset
    from sanitizer.findings.report import Report
    from sanitizer.reports.text.render import Layout

    AsText = Callable[[Report], str]


def finish(
    report: Report,
    args: argparse.Namespace,
    fail_on_name: str,
    dataset: Dataset,
    as_text: AsText | None = None,
) -> int:
    """Say the notes, put findings off into a baseline where asked to, deliver the rest; exit status by these.

    `dataset` is what was found and scanned. `as_text` writes the report as text in a way of its own, given the report
    that is delivered.
    """
    note = say_nothing if args.quiet else say_note
    for sentence in report.notes:
        note(sentence)
    if args.write_baseline:
        report = _put_off(report, args.write_baseline)
        note(
            f"{report.suppressed:,} findings written: `--baseline {args.write_baseline}` leaves them out from now on"
        )
    return deliver(report, args, fail_on_name, dataset, as_text)


def deliver(
    report: Report,
    args: argparse.Namespace,
    fail_on_name: str,
    dataset: Dataset,
    as_text: AsText | None = None,
) -> int:
    """Write the report to files and stdout; exit status by its findings."""
    fail_on = _severity(fail_on_name)
    for path in args.output:
        write(report, path, fail_on, wants_bar(args), dataset)
    if args.format == "text" and as_text and not args.statistics:
        print_as_terminal(as_text(report))
    elif args.format in LAYOUTS:
        print_text(report, args.statistics, args.quiet, args.format)
    else:
        print_pieces(pieces(report, args.format, fail_on), "utf-8")
    return status_of(report, fail_on_name)


def _severity(fail_on_name: str) -> Severity | None:
    return None if fail_on_name == "never" else Severity.parse(fail_on_name)


def status_of(report: Report, fail_on_name: str) -> int:
    """Exit status by the findings of a report."""
    fail_on = _severity(fail_on_name)
    # A file that did not come may hold anything: the status says so even where its finding was not asked for.
    # A run that would not start is no success, whatever findings were asked for.
    failed = report.unread or report.would_stop
    return FOUND if fail_on is not None and (report.count(fail_on) or failed) else OK


def wants_bar(args: argparse.Namespace) -> bool:
    """Whether to show progress on stderr."""
    return not (args.quiet or args.no_progress) and sys.stderr.isatty()


def _put_off(report: Report, path: str) -> Report:
    """Write all findings to a baseline; the report that is left has none."""
    from sanitizer.findings.baseline import write_baseline

    write_baseline(report.findings, path)
    return replace(report, findings=[], causes=(), suppressed=len(report.findings))


def print_text(
    report: Report, statistics: bool = False, quiet: bool = False, layout: Layout = "text"
) -> None:
    """Print the text report; on a terminal coloured, wrapped to its width, and shortened."""
    from sanitizer.reports.text.render import Style
    from sanitizer.reports.text.render import pieces as lines_of

    on_terminal = sys.stdout.isatty()
    style = Style(
        layout=layout,
        width=shutil.get_terminal_size().columns if on_terminal else None,
        colour=wants_colour(),
        shorten=on_terminal,
        summary=not quiet,
        statistics=statistics,
    )
    print_pieces(lines_of(report, style), sys.stdout.encoding or "utf-8")


def wants_colour() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody said not to."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_as_terminal(text: str) -> None:
    """Print text in the encoding of stdout, what it cannot say escaped."""
    print_pieces([text], sys.stdout.encoding or "utf-8")


def print_pieces(texts: Iterable[str], encoding: str) -> None:
    """Write texts to stdout as they come, what the encoding cannot say escaped; else as `print_bytes`."""
    encoder = codecs.getincrementalencoder(encoding)("backslashreplace")
    for text in texts:
        if not _wrote(encoder.encode(text)):
            return
    _flushed()


def print_bytes(content: bytes) -> None:
    """Write to stdout as it is, whatever the terminal's encoding; a reader that leaves early changes nothing."""
    if _wrote(content):
        _flushed()


def _wrote(content: bytes) -> bool:
    """Write to stdout; False where nobody reads on."""
    return _to_stdout(sys.stdout.buffer.write, content)


def _flushed() -> bool:
    return _to_stdout(sys.stdout.flush)


def _to_stdout(write: Callable[..., object], *content: bytes) -> bool:
    try:
        write(*content)
    except BrokenPipeError:
        silence_stdout()
        return False
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error
    return True


def say_lines(text: str) -> None:
    """Say lines on stderr, what could steer a terminal escaped."""
    for line in text.split("\n"):
        say(line)


def say(sentence: str) -> None:
    """Say a sentence on stderr in one line, what could steer a terminal escaped."""
    from sanitizer.util.escape import legible

    print(legible(sentence).encode(errors="replace").decode(), file=sys.stderr)


def say_note(sentence: str) -> None:
    """Say a sentence on stderr, as a note."""
    say(f"note: {sentence}")


def say_nothing(sentence: str) -> None:
    """Say nothing."""
