"""Storages behind URLs, read through fsspec: buckets (s3://, gs://), web servers, memory and others."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from sanitizer.storage import retries
from sanitizer.storage.base import StorageError
from sanitizer.storage.folder_entries import FolderEntries, stamp_of
from sanitizer.storage.remote import RemoteStorage
from sanitizer.storage.retries import IncompleteBodyError, OutOfRangeError, with_retries
from sanitizer.util import limits
from sanitizer.util.bounded_read import too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp",
    "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "oci": "ocifs", "oss": "ossfs", "memory": "fsspec",
}  # fmt: skip


_MAKING = threading.Lock()
_INHERITED: list[object] = []
"""File systems and event loops of a parent process, kept so that they are never garbage-collected here. Their cleanup
would remove the parent's connections from the selector that both processes share."""


def require(protocol: str) -> Any:
    """The fsspec class for a protocol.

    Raises:
        StorageError: A package is missing, or there is no such protocol.
    """
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        raise StorageError(
            "remote datasets need a package that is not installed: pip install 'sanitize-yolo[remote]'"
        ) from None
    package = PACKAGES.get(protocol)
    try:
        return fsspec.get_filesystem_class(protocol)
    except ImportError:
        raise StorageError(
            f"{protocol}:// needs a package that is not installed: pip install {package or protocol}"
        ) from None
    except ValueError:
        raise StorageError(f"{protocol}:// needs a newer fsspec: pip install -U fsspec {package}") from None


class FsspecStorage(RemoteStorage):
    """A bucket, or any other tree, that an fsspec file system reads.

    Attributes:
        protocol: As in the URL.
    """

    def __init__(self, protocol: str, anchor: str, home: str = "") -> None:
        super().__init__(anchor, home)
        self.protocol = protocol
        self._made: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave out connections, which belong to this process, and listings, which a worker does not need."""
        return {**self.__dict__, "_made": None, "_listings": {}}

    def options(self) -> Mapping[str, Any]:
        """Arguments for the file system beside those of the user's fsspec configuration."""
        return {}

    def filesystem(self) -> Any:
        """This process's file system: connections do not survive a fork."""
        if self._made is None or self._made[0] != os.getpid():
            with _MAKING:
                if self._made is None or self._made[0] != os.getpid():
                    _INHERITED.append(self.__dict__.copy())
                    self._made = (os.getpid(), self.connect())
        return self._made[1]

    def connect(self) -> Any:
        """A new file system."""
        made = require(self.protocol)(skip_instance_cache=True, use_listings_cache=False, **self.options())
        _silence_loggers()
        return made

    def key(self, path: str) -> str:
        """The path as the file system names it."""
        return path if self.protocol == "memory" else path[1:]

    def address(self) -> str:
        """The bucket.

        Raises:
            StorageError: The storage is in the memory of this process.
        """
        if self.protocol == "memory":
            raise StorageError("what is behind memory:// is in this process alone")
        return super().address()

    def url(self, path: str) -> str:
        """Protocol and path."""
        return f"{self.protocol}:/{path}"

    def call(self, method: str, *args: Any, n_bytes: int = 0, **kwargs: Any) -> Any:
        """One call of the file system. It is not retried; an asynchronous one has a time limit."""
        fs = self.filesystem()
        if fs.async_impl:
            return self.run(getattr(fs, f"_{method}"), *args, n_bytes=n_bytes, **kwargs)
        return getattr(fs, method)(*args, **kwargs)

    def run(self, coroutine: Callable[..., Any], *args: Any, n_bytes: int = 0, **kwargs: Any) -> Any:
        """Run a coroutine function in the file system's event loop, with a time limit."""
        asyn = importlib.import_module("fsspec.asyn")
        limit = retries.RETRY_POLICY.limit_s(n_bytes)
        return asyn.sync(self.filesystem().loop, coroutine, *args, timeout=limit, **kwargs)

    def read_once(self, path: str, start: int, stop: int | None, n_bytes: int) -> bytes:
        """Bytes start to stop of a file, or all of it from a server that does not send ranges. Not retried."""
        data: bytes = self.call("cat_file", self.key(path), start=start, end=stop, n_bytes=n_bytes)
        return data

    def fetch(
        self, path: str, start: int, stop: int | None, size: int = -1, limit: int = limits.IMAGE_BYTES
    ) -> tuple[bytes, int]:
        """(bytes, size of the file or -1)."""
        if size >= 0:
            stop = size if stop is None else min(stop, size)
            if start >= stop:
                return b"", size
        if stop is not None and stop - start > limit:
            raise too_large(limit, path)
        try:
            data = with_retries(partial(self._fetch_once, path, start, stop, size, limit))
        except OutOfRangeError:
            return b"", size
        if len(data) > limit:
            raise too_large(limit, path)
        return data, size

    def _fetch_once(self, path: str, start: int, stop: int | None, size: int, limit: int) -> bytes:
        length = (stop if stop is not None else max(size, 0)) - start
        data = self.read_once(path, start, start + limit + 1 if stop is None else stop, length)
        if stop is not None and len(data) > stop - start:
            data = data[start:stop]
        if size >= 0 and len(data) != length:
            raise IncompleteBodyError(f"{len(data)} of {length} bytes came")
        return data

    def ask_size(self, path: str) -> int:
        """Size of a file in bytes, by a request."""
        info = with_retries(lambda: self.call("info", self.key(path)))
        return int(info["size"])

    def list_once(self, path: str) -> FolderEntries:
        """The folder's names."""
        found = FolderEntries()
        key = self.key(path)
        entries = with_retries(lambda: self.call("ls", key, detail=True))
        self.count_listed_names(len(entries))
        for info in entries:
            full = str(info["name"]).rstrip("/")
            if full.strip("/") == key.strip("/"):
                if info["type"] == "file" and not str(info["name"]).endswith("/"):
                    raise FileNotFoundError(path)  # `ls` of a file names the file itself
                continue
            add_info(found, full.rpartition("/")[2], info)
        return found


def add_info(found: FolderEntries, name: str, info: Mapping[str, Any]) -> None:
    """Add one entry of an fsspec listing."""
    if name in ("", ".", ".."):
        return
    if info["type"] == "directory":
        found.folders[name] = None
        return
    size = info.get("size")
    signs = [info.get(key) for key in ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified",
                                       "last_modified", "updated", "created")]  # fmt: skip
    found.add(name, int(size) if size is not None else -1, stamp_of(*signs))


def _silence_loggers() -> None:
    """Keep client libraries from logging to stderr: they log retried requests, some with URLs in them."""
    import logging

    for name in ("asyncio", "aiohttp", "aiobotocore", "botocore", "fsspec", "s3fs", "gcsfs", "urllib3"):
        logger = logging.getLogger(name)
        if not logger.handlers and name in sys.modules:
            logger.addHandler(logging.NullHandler())
            logger.propagate = bool(logging.getLogger().handlers)
