"""How worker processes start: forked where that is safe, else new ones that share nothing with this process."""

from __future__ import annotations

import contextlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAFE_PATH = "PYTHONSAFEPATH"


def start_method() -> Literal["fork", "spawn"]:
    """How to start a worker now.

    A forked worker has at once what this process holds. Once torch is loaded, its threads may hold a lock at the moment
    of a fork, and in the worker nobody would release it.
    """
    return "fork" if sys.platform == "linux" and "torch" not in sys.modules else "spawn"


@contextlib.contextmanager
def no_strange_imports() -> Iterator[None]:
    """Processes that are spawned in this block import neither the user's script nor modules of the current folder.

    A script that does not expect to be imported would run a second time. A current folder may be a dataset's, with a
    pickle.py of its own (Python 3.10 takes it all the same).
    """
    main, safe_path = sys.modules["__main__"], os.environ.get(_SAFE_PATH)
    sys.modules["__main__"], os.environ[_SAFE_PATH] = ModuleType("__main__"), "1"
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if safe_path is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = safe_path
