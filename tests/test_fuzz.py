"""The fuzz targets of scripts/fuzz: their seeds keep the promises, and so does what a fuzzer makes of them."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "scripts" / "fuzz"
sys.path.insert(0, str(FUZZ))

from harness import load  # noqa: E402
from runner import NAMES, fuzz, has_atheris  # noqa: E402

SECONDS = float(os.environ.get("SANITIZE_FUZZ_SECONDS", "4"))
needs_atheris = pytest.mark.skipif(
    not has_atheris(),
    reason="atheris is not installed (the fuzz extra): it has wheels for Linux on x86-64 and Python 3.11 to 3.14",
)


@pytest.fixture(autouse=True)
def sanitizer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer's processes find the package as this one does."""
    found = importlib.util.find_spec("sanitizer")
    assert found is not None and found.origin is not None
    monkeypatch.setenv("PYTHONPATH", str(Path(found.origin).parents[1]))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_target_begins_with_keeps_its_promises(name: str) -> None:
    target = load(f"targets.{name}")
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        assert len(seed) <= target.MAX_BYTES
        target.check(seed)


@needs_atheris
@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_input_that_a_fuzzer_makes_breaks_a_promise(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, tmp_path, SECONDS)
    traces = [path.read_text("utf-8", "replace") for path in outcome.crashes if path.suffix == ".txt"]
    assert outcome.ok, "\n".join([str(outcome), *traces])


BROKEN = """
WORDS, MAX_BYTES = (b"word",), 64

def seeds():
    yield b"right"
    yield b"wrong one"
    yield b"wrong two"

def check(data):
    if data.startswith(b"wrong"):
        raise ValueError(data)
    assert not data.startswith(b"right"), "the other crash"
"""


@needs_atheris
@pytest.mark.fuzz
@pytest.mark.slow
def test_every_crash_is_kept_once_with_its_input_and_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/broken.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{tmp_path}")
    outcome = fuzz("broken", tmp_path / "found", 2, package="examples")
    assert not outcome.ok
    assert outcome.runs > 2
    assert {path.name.partition("-")[0] for path in outcome.crashes} == {"ValueError", "AssertionError"}
    assert all(
        path.with_suffix(".bin").read_bytes().startswith((b"wrong", b"right")) for path in outcome.crashes
    )
