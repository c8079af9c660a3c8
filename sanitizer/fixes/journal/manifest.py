"""The run.json of a journalled run: which files it changes. A stranger may have written it: every value is checked."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sanitizer.util.escape import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1
LABEL_EXTENSION, CACHE_EXTENSION = ".txt", ".cache"
_HASH = re.compile("[0-9a-f]{64}")
_NOT_IN_PATHS = re.compile(r"[\0\\:]" if os.name == "nt" else r"\0")


class JournalError(Exception):
    """A fix or an undo cannot be carried out; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that a run changes.

    Attributes:
        path: POSIX path relative to the root, of the file itself where a link leads to it.
        before: SHA-256 of its bytes before the run.
        after: SHA-256 of its bytes after it; None where it is taken away.
        renamed_to: Its path after the run, where that is another.
        mode: Permission bits.
        atime_ns, mtime_ns: Its times before the run.
        derived: Made by training from the labels, such as a label cache: nobody edits it by hand.
    """

    path: str
    before: str
    after: str | None
    renamed_to: str | None
    mode: int
    atime_ns: int
    mtime_ns: int
    derived: bool = False


_FIELDS = {field.name for field in fields(Entry)}


class _OddError(ValueError):
    """What is wrong with an entry, as the rest of a sentence that begins with the file."""


def encode(entries: Sequence[Entry]) -> bytes:
    """The bytes of a run.json."""
    return json.dumps({"schema": SCHEMA, "entries": [asdict(e) for e in entries]}).encode()


def decode(content: bytes, where: str) -> list[Entry]:
    """The entries of a run.json, all of them sound.

    Args:
        content: Its bytes.
        where: Its path, for the error.

    Raises:
        JournalError: It is none, or an entry names what no fix changes.
    """
    try:
        return _entries(json.loads(content))
    except _OddError as odd:
        reason = str(odd)
    except (ValueError, RecursionError):
        reason = "no journal of sanitize, or a damaged one"
    raise damaged(where, reason)


def damaged(where: str, reason: str | None) -> JournalError:
    """Why a run cannot be used, and what to do: `where` is a file in the run's folder."""
    folder = os.path.dirname(where)
    return JournalError(f"{where}: {reason}; nothing was changed. To go on without this run, remove {folder}")


def _entries(manifest: object) -> list[Entry]:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("entries"), list):
        raise ValueError
    schema = manifest.get("schema")
    if schema != SCHEMA:
        shown = legible(str(schema)[:20])
        raise _OddError(f"a journal of schema {shown}, and this version reads {SCHEMA}")
    entries = [_entry(entry) for entry in manifest["entries"]]
    seen: set[str] = set()
    for path in (path for e in entries for path in (e.path, e.renamed_to) if path is not None):
        if path in seen:
            raise _OddError(f"names {legible(path)} twice")
        seen.add(path)
    return entries


def _entry(given: object) -> Entry:
    if not isinstance(given, dict) or not {*given} <= _FIELDS:
        raise ValueError
    try:
        entry = Entry(**given)
    except TypeError as error:
        raise ValueError from error
    if not isinstance(entry.path, str):
        raise ValueError
    problem = path_problem(entry.path)
    if problem:
        raise _OddError(f"names {legible(entry.path)}, {problem}")
    if not (_has_sound_hashes(entry) and _has_sound_times(entry) and _is_renamed_soundly(entry)):
        raise _OddError(f"its entry for {legible(entry.path)} is none that a fix writes")
    return entry


def path_problem(path: str) -> str | None:
    """Why no fix may change the file at this path relative to the root; the rest of a sentence. None where it may."""
    parts = path.split("/")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return "which is no path of a label file"
    if parts[0] in ("", "..") or _NOT_IN_PATHS.search(path):
        return "which is outside the dataset, or no path of a label file"
    if any(part in ("", ".", "..") for part in parts):
        return "which is no path of a label file"
    if any(part.startswith(".") for part in parts[:-1]):
        return "which is in a folder whose name begins with a dot, where no label file is changed"
    if not path.lower().endswith((LABEL_EXTENSION, CACHE_EXTENSION)):
        return f"which is no label file: its name does not end in {LABEL_EXTENSION}"
    return None


def _has_sound_hashes(entry: Entry) -> bool:
    """A label gets other bytes; a label cache is taken away."""
    after = (entry.after,) if entry.after is not None else ()
    sound = all(isinstance(h, str) and _HASH.fullmatch(h) for h in (entry.before, *after))
    is_cache = not entry.path.lower().endswith(LABEL_EXTENSION)
    return sound and entry.derived is is_cache and (entry.after is None) is is_cache


def _has_sound_times(entry: Entry) -> bool:
    numbers = (entry.mode, entry.atime_ns, entry.mtime_ns)
    if any(type(n) is not int for n in numbers):
        return False
    return 0 <= entry.mode <= 0o777 and all(abs(ns) < 1 << 63 for ns in numbers[1:])


def _is_renamed_soundly(entry: Entry) -> bool:
    """x.TXT becomes x.txt, and nothing else is renamed."""
    if entry.renamed_to is None:
        return True
    new_name = entry.path[: -len(LABEL_EXTENSION)] + LABEL_EXTENSION
    return not entry.derived and entry.renamed_to == new_name != entry.path
