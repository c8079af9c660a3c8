"""Fixtures shared by all tests."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from published_sets import FOLDER
from remote_fixtures import bucket, s3, web_server  # noqa: F401

from sanitizer.util import processes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from html_pages import Opener
    from playwright.sync_api import Browser, Page

# Tests run side by side, each on a core of its own: more threads, as PyTorch takes by itself, wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell runs in the background ignores Ctrl-C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

START_METHOD_OF_USERS = processes.start_method

# Under CI every run tries the same examples, so that a red run is about the change; elsewhere they are new each time.
settings.register_profile("reproducible", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("reproducible")
settings.register_profile("quick", max_examples=20)  # a fifth: `scripts/test quick` names it, see effort.py

NUMBERS = itertools.count()
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own scan cache, or the key that signs his journals."""
    folder = tmp_path_factory.getbasetemp() / f"of-user-{next(NUMBERS)}"  # made by those that write to it
    monkeypatch.setenv("SANITIZE_CACHE_DIR", str(folder / "scan-cache"))
    monkeypatch.setenv("SANITIZE_STATE_DIR", str(folder / "state"))


@pytest.fixture(autouse=True)
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers see what a test replaces, whether or not an earlier test loaded torch; not where spawn is asked for."""
    if sys.platform == "linux" and os.environ.get("SANITIZE_START_METHOD") != "spawn":
        monkeypatch.setattr("sanitizer.util.processes.start_method", lambda: "fork")


@pytest.fixture
def workers_of_users(forked_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start as they do for users: a fork ends where Ray has run in this process, whose threads it lacks."""
    monkeypatch.setattr("sanitizer.util.processes.start_method", START_METHOD_OF_USERS)


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test asks for no workers its own process reads its few files: forking takes longer than reading."""
    monkeypatch.setattr("sanitizer.scanner.engines.local.usable_cores", lambda: 1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the published datasets; tests that need it skip where it is absent."""
    if not os.path.isdir(FOLDER):
        pytest.skip(f'published datasets not found at "{FOLDER}" (set SANITIZE_TEST_DATA)')
    return Path(FOLDER)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the test extra)")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium or google-chrome on PATH")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Opens a page in a browser of its own. Afterwards: no error, no dialog, nothing asked of the network."""
    contexts = []
    trouble: list[str] = []

    def open_one(path: Path, hash_: str = "", script: str = "", **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: trouble.append(f"{m.type}: {m.text}") if m.type != "log" else None)
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else trouble.append(r.url),
        )
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri() + hash_)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert trouble == []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out modules of which `-m "not this and not that"` leaves out every test: most import PyTorch."""
    if not re.fullmatch(r"not \w+( and not \w+)*", config.option.markexpr) or collection_path.suffix != ".py":
        return None
    of_module = re.search(r"^pytestmark = (\[[^]]*|.*)", collection_path.read_text("utf-8"), re.MULTILINE)
    marks = set(re.findall(r"mark\.(\w+)", of_module[1])) if of_module else set()
    return True if marks & set(re.findall(r"not (\w+)", config.option.markexpr)) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from _skipped_where_the_system_lacks_it())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from _skipped_where_the_system_lacks_it())


def _skipped_where_the_system_lacks_it() -> Generator[None, object, object]:
    """A line of a test itself that asks for what Windows or macOS lacks (named pipes, alarms, fork) skips the test."""
    try:
        return (yield)
    except AttributeError as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        is_of_test = trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE)
        if sys.platform != "linux" and error.obj in (os, signal) and is_of_test:
            pytest.skip(f"there is no {error.obj.__name__}.{error.name} on this system")
        raise


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Published datasets are hundreds of files each: tests that read them are thorough ones."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("thorough")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")
