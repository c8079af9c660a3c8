"""The storage behind a path, a URL or an archive, as people write it on a command line."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING, BinaryIO

from sanitizer.storage.base import LOCAL, Storage, StorageError
from sanitizer.util.bounded_read import open_regular
from sanitizer.util.paths import absolute_path, common_path, is_url, normal_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanitizer.storage.http import HttpStorage
    from sanitizer.storage.remote import RemoteStorage
    from sanitizer.storage.zip_ import ZipStorage

_FILE = "file://"
_PLATFORM = ("ul://", "https://platform.ultralytics.com/")
_FILE_EXTENSIONS = (".yaml", ".yml", ".data", ".txt", ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff",
                 ".ndjson", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")  # fmt: skip


def is_remote(path: str) -> bool:
    """Whether a path of a command line is a URL or an archive. Only for `x.zip` the disk is read: whether it is a local
    file."""
    if is_url(path):
        return not path.startswith(_FILE)
    return path.endswith((".zip", ".ZIP")) and os.path.isfile(path)


def refuse_remote(paths: Sequence[str]) -> None:
    """StorageError where a path leads elsewhere than to this disk."""
    for path in filter(is_remote, paths):
        _refuse_platform(path, "and make a folder of it by Ultralytics' `convert_ndjson_to_yolo`")
        if is_url(path):
            place, advice = f"behind {path.partition('://')[0]}://", "copy this one to this disk"
        else:
            place, advice = "in an archive", f"unpack {path}"
        raise StorageError(f"only `sanitize scan` reads datasets {place}: {advice} for anything else")


def is_on_platform(url: str) -> bool:
    """Whether a dataset is on Ultralytics' platform, which hands it out by the user's key."""
    return url.lower().startswith(_PLATFORM) and not url.partition("?")[0].endswith(".ndjson")


def _refuse_platform(url: str, advice: str) -> None:
    """StorageError for a dataset of Ultralytics' platform."""
    if is_on_platform(url):
        raise StorageError(
            f"{url} is on Ultralytics' platform, which hands it to Ultralytics alone, by your API key: download the "
            f"dataset there as NDJSON, {advice}"
        )


def find_storage(paths: Sequence[str]) -> tuple[Storage, Sequence[str]]:
    """The one storage that all paths of a command line are in, and their absolute paths in it.

    Raises:
        StorageError: As `open_storage`, or the paths are in several storages.
    """
    if not any(map(is_remote, paths)):
        return LOCAL, [absolute_path(_local_path(path)) for path in paths]
    several = StorageError("give paths of one place at a time: one bucket, one archive, or this disk")
    if not all(map(is_remote, paths)):
        raise several
    storage, first = open_storage(paths[0])
    found, home = [first], storage.home
    for path in paths[1:]:
        other, inside = open_storage(path)
        if other is not storage:
            raise several
        found.append(inside)
        home = common_path([home, storage.home])
    storage.home = home
    return storage, found


def _local_path(path: str) -> str:
    """The path that a person wrote, with or without file:// in front; Windows' are written file:///C:/set."""
    inside = path.removeprefix(_FILE)
    return inside[1:] if os.path.splitdrive(inside[1:])[0] and inside != path else inside


def open_storage(path: str) -> tuple[RemoteStorage, str]:
    """The storage behind a URL or an archive, and the path in it.

    Raises:
        StorageError: The protocol is unknown, a package is missing, or the place cannot be reached.
    """
    return open_zip(path) if _is_zip(path) else open_url(path)


def open_path(path: str) -> BinaryIO:
    """A file by its local path or its URL.

    Raises:
        OSError: It cannot be opened, or is no regular file.
        StorageError: As `open_storage`.
    """
    if not is_url(path):
        return open_regular(path)
    storage, inside = _find_remote(path)
    return storage.open(inside, storage.ask_size(inside))


def absolute(path: str) -> str:
    """Absolute path of a file by its local path; a URL as it may be shown, from which `open_path` opens it."""
    if not is_url(path):
        return absolute_path(path)
    storage, inside = _find_remote(path)
    return storage.url(inside)


def _find_remote(url: str) -> tuple[RemoteStorage, str]:
    """As `open_storage`, for a file that is not part of the dataset."""
    return find_zip(url)[:2] if _is_zip(url) else find_server(url)


def _is_zip(url: str) -> bool:
    return "::" in url or url.startswith("zip://") or url.partition("?")[0].lower().endswith(".zip")


def open_url(url: str) -> tuple[RemoteStorage, str]:
    """The storage of a URL, and the path in it.

    Raises:
        StorageError: The protocol is unknown, or a package is missing.
    """
    storage, path = find_server(url)
    storage.home = os.path.dirname(path) if path.lower().endswith(_FILE_EXTENSIONS) else path
    if "{" in storage.home:  # of a pattern for shards
        storage.home = os.path.dirname(storage.home.partition("{")[0])
    return storage, path


def find_server(url: str) -> tuple[RemoteStorage, str]:
    """The bucket or server of a URL, and the path in it.

    Raises:
        StorageError: The protocol is unknown, or a package is missing.
    """
    protocol, _, rest = url.partition("://")
    protocol = protocol.lower()
    _refuse_platform(
        url, "and scan that file (or install Ultralytics 8.4, by which `sanitize scan` asks for it)"
    )
    from sanitizer.storage.fsspec_ import PACKAGES, require

    if protocol not in PACKAGES:
        known = ", ".join(f"{name}://" for name in ("s3", "gs", "az", "http", "https", "memory", "zip"))
        raise StorageError(f"{protocol}:// is no protocol that sanitize reads; such are {known}")
    if protocol in ("http", "https"):
        from urllib.parse import urlsplit

        from sanitizer.storage.http import HttpStorage

        require(protocol)
        place = urlsplit(url)
        path = HttpStorage.path_of(place)
        server = (protocol, path.split("/")[1])
        # A URL without credentials, as messages show it, means the server that was named with them.
        if server not in _SERVERS or place.query or "@" in place.netloc:
            before = _SERVERS.get(server)
            if before is None or not before.is_named_by(place):
                _SERVERS[server] = HttpStorage(protocol, place.netloc, place.query)
        return _SERVERS[server], path
    if "@" in rest.split("/")[0]:
        raise StorageError(
            f"{protocol}:// takes no user or key within the URL: its client finds them by itself"
        )
    path = normal_path("/" + rest.partition("?")[0].partition("#")[0].strip("/"))
    if path == "/" and protocol != "memory":
        raise StorageError(f"{protocol}:// names no bucket: write {protocol}://bucket/folder/data.yaml")
    require(protocol)
    return _bucket(protocol, "/" if protocol == "memory" else "/" + path.split("/")[1]), path


@cache
def _bucket(protocol: str, anchor: str) -> RemoteStorage:
    """One storage for each bucket, so that its listings are fetched once."""
    from sanitizer.storage.fsspec_ import FsspecStorage

    if protocol in ("s3", "s3a"):
        from sanitizer.storage.s3 import S3Storage

        return S3Storage(protocol, anchor)
    return FsspecStorage(protocol, anchor)


_SERVERS: dict[tuple[str, str], HttpStorage] = {}
"""Web servers by protocol and name."""


def open_zip(url: str) -> tuple[RemoteStorage, str]:
    """The storage in an archive: `set.zip`, `s3://bucket/set.zip`, `zip://path/inside::archive` or `zip://archive`.

    Raises:
        StorageError: There is no such archive, or it is no zip archive.
    """
    storage, path, inner = find_zip(url)
    storage.home = path if storage.isdir(path) or not inner else os.path.dirname(path)
    return storage, path


def find_zip(url: str) -> tuple[RemoteStorage, str, str]:
    """(storage, path in it, the part of that path which the URL names).

    Raises:
        StorageError: There is no such archive, or it is no zip archive.
    """
    inner, outer = "", url
    if url.startswith("zip://"):
        inner, chained, outer = url[len("zip://") :].partition("::")
        if not chained:
            inner, outer = "", inner
    if "::" in outer:
        raise StorageError("only zip://path/inside::archive can be chained")
    storage = _archive(outer, _state(outer))
    return storage, normal_path(f"{storage.anchor}/{inner.strip('/')}"), inner


@lru_cache(maxsize=4)
def _archive(outer: str, _state: object) -> ZipStorage:
    """One storage for each archive, so that its directory is read once."""
    from sanitizer.storage.zip_ import ZipStorage

    if not is_url(outer):
        return ZipStorage(absolute_path(outer), outer)
    storage, path = find_server(outer)
    return ZipStorage(path, storage.url(path), storage)


def _state(outer: str) -> object:
    """A value that changes when a local archive is rewritten."""
    try:
        status = os.stat(outer)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
