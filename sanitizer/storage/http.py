"""Datasets on a web server that shows its folders as pages of links; files are read by range requests."""

from __future__ import annotations

import errno
import html
import importlib
import io
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from sanitizer.storage import retries
from sanitizer.storage.base import StorageError
from sanitizer.storage.folder_entries import FolderEntries
from sanitizer.storage.fsspec_ import FsspecStorage
from sanitizer.storage.http_answers import allowed_target, read_body
from sanitizer.storage.retries import IncompleteBodyError, OutOfRangeError, RefusedAnswerError, with_retries
from sanitizer.util import limits
from sanitizer.util.bounded_read import too_large
from sanitizer.util.paths import normal_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult


class HttpStorage(FsspecStorage):
    """One web server. Its name is the first part of every path.

    The credentials of a URL (user and password, or a signed query) are sent with every request and never shown.
    """

    def __init__(self, protocol: str, server: str, query: str) -> None:
        self._server, self._query = server, query
        self._host = server.rpartition("@")[2]
        self._sends_ranges = True
        super().__init__(protocol, f"/{self._host}", "")

    def is_named_by(self, place: SplitResult) -> bool:
        """Whether a split URL has these credentials."""
        return (place.netloc, place.query) == (self._server, self._query)

    @staticmethod
    def path_of(place: SplitResult) -> str:
        """Path within the storage of a split URL."""
        return normal_path(f"/{place.netloc.rpartition('@')[2]}/{unquote(place.path).strip('/')}")

    def options(self) -> Mapping[str, Any]:
        """Addresses are quoted already."""
        timeout = importlib.import_module("aiohttp").ClientTimeout(
            total=None, sock_connect=retries.RETRY_POLICY.timeout_s, sock_read=retries.RETRY_POLICY.timeout_s
        )
        # A few bytes of a compressed answer can stand for gigabytes: it is unpacked within the limit, or not at all.
        return {"encoded": True, "client_kwargs": {"timeout": timeout, "auto_decompress": False}}

    def key(self, path: str) -> str:
        """The address with its credentials, as the server needs it."""
        inner = quote(path[len(self.anchor) :] or "/", safe="/!$&'()*+,;=:@~")
        return f"{self.protocol}://{self._server}{inner}" + (f"?{self._query}" if self._query else "")

    def url(self, path: str) -> str:
        """The address without user, password and query."""
        return f"{self.protocol}:/{path}"

    def address(self) -> str:
        """The address of the server, where it needs no credentials.

        Raises:
            StorageError: The URL has credentials, which are not sent to other machines.
        """
        if self._query or self._server != self._host:
            raise StorageError(
                f"{self.url(self.home)} is read with credentials from its URL, and these are not sent to other machines"
            )
        return super().address()

    def fetch(
        self, path: str, start: int, stop: int | None, size: int = -1, limit: int = limits.BODY_BYTES
    ) -> tuple[bytes, int]:
        """(bytes, size of the file). The size comes from the answer, as listings have none."""
        if 0 <= size <= start:
            return b"", size
        try:
            return with_retries(partial(self._get_once, path, start, stop, limit))
        except OutOfRangeError:
            return b"", max(size, 0)

    def _get_once(self, path: str, start: int, stop: int | None, limit: int) -> tuple[bytes, int]:
        n_bytes = max(0, (stop or 0) - start)
        if n_bytes > limit:
            raise too_large(limit, path)
        status, headers, data = self.run(self._get, path, start, stop, limit, n_bytes=n_bytes)
        if status == 206:
            total = headers.get("Content-Range", "").rpartition("/")[2]
            size = int(total) if total.isascii() and total.isdigit() and len(total) < _SIZE_DIGITS else -1
        else:
            self._sends_ranges &= start == 0 and stop is None
            size = len(data)
            if start > 0 and start >= size:
                raise OutOfRangeError
            data = data[start:stop]
        expected = min(stop, size) - start if stop is not None and size >= 0 else len(data)
        if len(data) != expected:
            raise IncompleteBodyError(f"{len(data)} of {expected} bytes came")
        return data, size

    async def _get(
        self, path: str, start: int, stop: int | None, limit: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        session = await self.filesystem().set_session()
        ranged = (
            {}
            if start == 0 and stop is None
            else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        )
        # A compressed answer would have another length than the file.
        headers = {"Accept-Encoding": "identity", **ranged}
        make_url = importlib.import_module("yarl").URL
        address = make_url(self.key(path), encoded=True)
        for _ in range(_MOST_REDIRECTS + 1):
            async with session.get(address, headers=headers, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    target = await allowed_target(str(address), answer.headers.get("Location", ""))
                    address = make_url(target, encoded=True)
                    continue
                if answer.status >= 400:
                    raise _StatusError(answer.status)
                most = (
                    stop - start
                    if answer.status == 206 and stop is not None
                    else max(limit, limits.BODY_BYTES)
                )
                return answer.status, answer.headers, await read_body(answer, most, path)
        raise RefusedAnswerError(f"the server redirects more than {_MOST_REDIRECTS} times")

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The file to read in large parts. It is whole in memory if the server does not send ranges."""
        return super().open_raw(path, size) if self._sends_ranges else _Whole(self.fetch(path, 0, None)[0])

    def ask_size(self, path: str) -> int:
        """Bytes of a file, from the answer to a request for its first."""
        return self.fetch(path, 0, 1)[1]

    def list_once(self, path: str) -> FolderEntries:
        """The names that the folder's page links to."""
        try:
            page, _ = with_retries(partial(self._get_once, path + "/", 0, None, limits.LISTING_BYTES))
        except FileNotFoundError:
            if path == self.home:
                raise OSError(errno.ENOENT, "the server has no page that lists this folder") from None
            raise
        self._note_folder(path)
        found = FolderEntries()
        base = self.key(path + "/").partition("?")[0]
        below = urlsplit(base).path
        links = dict.fromkeys(match[1] for match in _LINK.finditer(page))
        self.count_listed_names(len(links))
        for link in links:
            try:
                target = urlsplit(urljoin(base, html.unescape(link.decode("utf-8", "replace"))))
            except ValueError:  # no address at all
                continue
            if target.netloc.rpartition("@")[2] != self._host or not target.path.startswith(below):
                continue
            name = unquote(target.path[len(below) :])
            if name.endswith("/") and "/" not in name[:-1] and name[:-1] not in ("", ".", ".."):
                found.folders[name[:-1]] = None
            elif name and "/" not in name:
                found.add(name, -1, -1)
        return found

    def _note_folder(self, path: str) -> None:
        """Raises StorageError for too many or too deep folders: a server may invent folders without end."""
        self._listed_folders += 1
        if self._listed_folders > limits.LISTED_FOLDERS:
            words = f"lists more than {limits.LISTED_FOLDERS:,} folders"
        elif path.count("/") - self.home.count("/") > limits.LISTED_DEPTH:
            words = f"lists folders in folders, more than {limits.LISTED_DEPTH} deep"
        else:
            return
        raise StorageError(f"{self.url(self.home)} {words}: name the dataset's own folder or its data.yaml")


class _Whole(io.BytesIO):
    """A whole file, read by one request."""

    remote = True


class _StatusError(Exception):
    """A server's answer that holds no file: `status` of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


_LINK = re.compile(rb"""<a\s[^<>]*?href\s*=\s*["']([^"'#?<>]{1,8192})""", re.IGNORECASE)
"""A tag holds no `<`: else the search from each `<a` would run to the end of the page."""
_MOST_REDIRECTS = 5
_SIZE_DIGITS = 19
