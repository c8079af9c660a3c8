"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Under CI every run tries the same examples, so that a red run is about the change; elsewhere they are new each time.
settings.register_profile("reproducible", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("reproducible")

SHARED_DATA = Path(os.environ.get("SANITIZE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own scan cache."""
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(tmp_path_factory.mktemp("scan-cache")))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the published datasets; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"published datasets not found at {SHARED_DATA} (set SANITIZE_TEST_DATA)")
    return SHARED_DATA


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")
