"""Fuzzes one target in this process: python harness.py MODULE FOLDER [libFuzzer's options].

An exception does not end the run: each one is kept once, by its type and the line that raised it, as
FOLDER/crashes/NAME.bin (the input) and NAME.txt (the traceback). Too long a time or too much memory ends the process,
and libFuzzer keeps the input in FOLDER/stops. `python harness.py MODULE --once FILE` tries one file again.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).parent
OURS = (str(HERE.parents[1] / "sanitizer"), str(HERE / "targets"))
"""Where a crash is told from another by the line that raised it."""


def load(name: str) -> Any:
    """The module of a target, such as targets.labels."""
    module = importlib.import_module(name)
    # As the tests have it: NumPy's warnings would be printed among a user's output.
    warnings.filterwarnings("error", category=RuntimeWarning, module="sanitizer")
    return module


def main() -> None:
    name, folder, *options = sys.argv[1:]
    if folder == "--once":
        load(name).check(Path(options[0]).read_bytes())
        return
    import atheris

    with atheris.instrument_imports(include=["sanitizer", name.partition(".")[0]]):
        target = load(name)
    corpus, crashes, stops = (Path(folder) / part for part in ("corpus", "crashes", "stops"))
    for made in (corpus, crashes, stops):
        made.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    words = Path(folder) / "words"
    words.write_text("".join(map(_dictionary_line, target.WORDS)), "ascii")
    kept: set[str] = set()

    def try_one(data: bytes) -> None:
        try:
            target.check(data)
        except Exception as error:
            _keep(crashes, kept, data, error)

    arguments = [
        sys.argv[0],
        f"-max_len={target.MAX_BYTES}",
        f"-dict={words}",
        f"-artifact_prefix={stops}{os.sep}",
        *options,
        str(corpus),
        str(crashes),
    ]
    atheris.Setup(arguments, try_one)
    atheris.Fuzz()


def _dictionary_line(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def _keep(crashes: Path, kept: set[str], data: bytes, error: Exception) -> None:
    """Write down an input and its traceback, the first time that this line raises this exception."""
    file, line = _raised_in(error.__traceback__)
    name = f"{type(error).__name__}-{file}-{line}"
    if name in kept:
        return
    kept.add(name)
    (crashes / f"{name}.txt").write_text("".join(traceback.format_exception(error)), "utf-8", "replace")
    (crashes / f"{name}.bin").write_bytes(data)


def _raised_in(trace: TracebackType | None) -> tuple[str, int]:
    """Name and line of the innermost frame that is ours."""
    frames = traceback.extract_tb(trace)
    ours = [frame for frame in frames if frame.filename.startswith(OURS)] or frames
    return Path(ours[-1].filename).stem, ours[-1].lineno or 0


if __name__ == "__main__":
    main()
