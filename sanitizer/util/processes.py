"""How worker processes start: forked where that is safe, else new ones that share nothing with this process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAFE_PATH = "PYTHONSAFEPATH"
START_METHOD = "SANITIZE_START_METHOD"
"""Environment variable: spawn has workers spawned where they would be forked."""


class ImportedAgainError(Exception):
    """A worker process of a script runs the script again; the text is a sentence."""


def start_method() -> Literal["fork", "spawn"]:
    """How to start a worker now.

    A forked worker has at once what this process holds. But another thread may hold a lock at the moment of a fork, and
    in the worker nobody would release it; torch has threads of its own.
    """
    if sys.platform != "linux" or os.environ.get(START_METHOD) == "spawn":
        return "spawn"
    return "spawn" if "torch" in sys.modules or _has_threads() else "fork"


def _has_threads() -> bool:
    """Whether this process has other threads: from Python 3.12 on a fork then warns, even of those of a library."""
    return threading.active_count() > 1 or (sys.version_info >= (3, 12) and _n_system_threads() > 1)


def _n_system_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def may_start() -> bool:
    """Whether this process may start others: not where it is a worker of the kind that may not (a data loader's).

    Raises:
        ImportedAgainError: This process was just spawned, and runs the script that spawned it.
    """
    from multiprocessing import current_process

    process = current_process()
    if getattr(process, "_inheriting", False):
        raise ImportedAgainError(
            "a worker process of this script has begun to run the whole script again, as it does where processes "
            'are spawned: put what the script does under `if __name__ == "__main__":`'
        )
    return not process.daemon


@contextlib.contextmanager
def no_strange_imports() -> Iterator[None]:
    """Processes that are spawned in this block import neither the user's script nor modules of the current folder.

    A script that does not expect to be imported would run a second time. A current folder may be a dataset's, with a
    pickle.py of its own.
    """
    from multiprocessing import util

    flags: Any = util
    main, safe_path, arguments = (
        sys.modules["__main__"],
        os.environ.get(_SAFE_PATH),
        flags._args_from_interpreter_flags,
    )
    sys.modules["__main__"], os.environ[_SAFE_PATH] = ModuleType("__main__"), "1"
    if sys.version_info < (3, 11):  # which does not know the variable
        flags._args_from_interpreter_flags = lambda: [*arguments(), "-I"]
    try:
        yield
    finally:
        sys.modules["__main__"], flags._args_from_interpreter_flags = main, arguments
        if safe_path is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = safe_path
