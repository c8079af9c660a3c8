"""Where Ultralytics' platform keeps a dataset: `ul://user/datasets/name` to the address of its NDJSON."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

from sanitizer.storage.base import StorageError
from sanitizer.storage.opening import is_on_platform
from sanitizer.ultra.versions import installed_version
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MODULES = ("ultralytics.utils.checks", "ultralytics.utils.callbacks.platform")
"""Where `resolve_platform_uri` is: the second one before 8.4.130; 8.3.200 has none."""


def addresses_of(paths: Sequence[str]) -> list[str]:
    """The paths that a person named; datasets on the platform as the signed address that it hands out.

    Only for paths of a command line or a call, never for those in a file: the platform is asked with the person's key.
    Without an Ultralytics that can ask, the paths stay as they are.

    Raises:
        StorageError: The platform hands out no dataset, such as without a key.
    """
    resolve = _resolver() if any(map(is_on_platform, paths)) else None
    if resolve is None:
        return list(paths)
    return [_address_of(path, resolve) if is_on_platform(path) else path for path in paths]


def _address_of(path: str, resolve: Callable[[str], Any]) -> str:
    from urllib.parse import urlsplit  # here, as `sanitizer.scan` loads this module for every dataset

    place = urlsplit(path)
    parts = [
        part for part in f"{place.netloc if place.scheme == 'ul' else ''}{place.path}".split("/") if part
    ]
    if len(parts) != 3 or parts[1] != "datasets":
        raise StorageError(f"{shown(path)} names no dataset: write ul://user/datasets/name")
    uri = f"ul://{'/'.join(parts)}"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = resolve(uri)
    except Exception as error:  # what the versions raise: no key, no access, not found, no network
        said = shown((str(error).splitlines() or [type(error).__name__])[0])
        raise StorageError(said if uri in said else f"{uri}: {said}") from None
    address = urlsplit(found if isinstance(found, str) else "")
    if address.scheme not in ("http", "https") or not address.path.lower().endswith(".ndjson"):
        raise StorageError(f"{uri}: Ultralytics' platform handed out no address of an NDJSON")
    return address.geturl()


def _resolver() -> Callable[[str], Any] | None:
    """Ultralytics' own function; None where it is not installed, or too old."""
    if installed_version() is None:
        return None
    with contextlib.redirect_stdout(sys.stderr):  # Ultralytics greets whom it does not know
        for module in _MODULES:
            with contextlib.suppress(ImportError):
                found = getattr(importlib.import_module(module), "resolve_platform_uri", None)
                if found is not None:
                    return found  # type: ignore[no-any-return]
    return None
