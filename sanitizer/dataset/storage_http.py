"""Datasets on a web server that shows its folders as pages of links; files are read by range requests."""

from __future__ import annotations

import errno
import html
import importlib
import io
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from sanitizer.dataset import retries
from sanitizer.dataset.remote_storage import Names
from sanitizer.dataset.retries import IncompleteBodyError, OutOfRangeError, patiently
from sanitizer.dataset.storage import StorageError
from sanitizer.dataset.storage_fsspec import FsspecStorage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult


class HttpStorage(FsspecStorage):
    """One web server. Its name is the first part of every path; what a URL has of credentials (user and password, a
    signed query) goes along with every request and is never shown."""

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
        return os.path.normpath(f"/{place.netloc.rpartition('@')[2]}/{unquote(place.path).strip('/')}")

    def options(self) -> Mapping[str, Any]:
        """Addresses are quoted already."""
        timeout = importlib.import_module("aiohttp").ClientTimeout(
            total=None, sock_connect=retries.PATIENCE.timeout_s, sock_read=retries.PATIENCE.timeout_s
        )
        return {"encoded": True, "client_kwargs": {"timeout": timeout}}

    def key(self, path: str) -> str:
        """The address, with all that the server needs to know."""
        inner = quote(path[len(self.anchor) :] or "/", safe="/!$&'()*+,;=:@~")
        return f"{self.protocol}://{self._server}{inner}" + (f"?{self._query}" if self._query else "")

    def url(self, path: str) -> str:
        """The address without user, password and query."""
        return f"{self.protocol}:/{path}"

    def address(self) -> str:
        """The server, where it takes requests without credentials of the URL.

        Raises:
            StorageError: It does not, and credentials are not handed on.
        """
        if self._query or self._server != self._host:
            raise StorageError(
                f"{self.url(self.home)} is read with credentials from its URL, and these are not sent to other machines"
            )
        return super().address()

    def fetch(self, path: str, start: int, stop: int | None, size: int = -1) -> tuple[bytes, int]:
        """(bytes, size of the file): folders do not tell sizes, answers do."""
        if 0 <= size <= start:
            return b"", size
        try:
            return patiently(partial(self._get_once, path, start, stop))
        except OutOfRangeError:
            return b"", max(size, 0)

    def _get_once(self, path: str, start: int, stop: int | None) -> tuple[bytes, int]:
        status, headers, data = self.run(self._get, path, start, stop, n_bytes=max(0, (stop or 0) - start))
        if status == 206:
            total = headers.get("Content-Range", "").rpartition("/")[2]
            size = int(total) if total.isdigit() else -1
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

    async def _get(self, path: str, start: int, stop: int | None) -> tuple[int, Mapping[str, str], bytes]:
        session = await self.filesystem().set_session()
        ranged = (
            {}
            if start == 0 and stop is None
            else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        )
        # A compressed answer would have another length than the file.
        headers = {"Accept-Encoding": "identity", **ranged}
        address = importlib.import_module("yarl").URL(self.key(path), encoded=True)
        async with session.get(address, headers=headers) as answer:
            if answer.status >= 400:
                raise _StatusError(answer.status)
            return answer.status, answer.headers, await answer.read()

    def open_raw(self, path: str, size: int = -1) -> io.IOBase:
        """The file to read in large parts; whole in memory from a server that does not send parts."""
        return super().open_raw(path, size) if self._sends_ranges else _Whole(self.fetch(path, 0, None)[0])

    def ask_size(self, path: str) -> int:
        """Bytes of a file, from the answer to a request for its first."""
        return self.fetch(path, 0, 1)[1]

    def list_once(self, path: str) -> Names:
        """The names that the folder's page links to."""
        try:
            page, _ = patiently(partial(self._get_once, path + "/", 0, None))
        except FileNotFoundError:
            if path == self.home:
                raise OSError(errno.ENOENT, "the server has no page that lists this folder") from None
            raise
        found = Names()
        base = self.key(path + "/").partition("?")[0]
        below = urlsplit(base).path
        for link in dict.fromkeys(_LINK.findall(page.decode("utf-8", "replace"))):
            target = urlsplit(urljoin(base, html.unescape(link)))
            if target.netloc.rpartition("@")[2] != self._host or not target.path.startswith(below):
                continue
            name = unquote(target.path[len(below) :])
            if name.endswith("/") and "/" not in name[:-1] and name[:-1] not in ("", ".", ".."):
                found.folders[name[:-1]] = None
            elif name and "/" not in name:
                found.add(name, -1, -1)
        return found


class _Whole(io.BytesIO):
    """All of a file that came by one request."""

    remote = True


class _StatusError(Exception):
    """A server's answer that holds no file: `status` of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


_LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#?]+)""", re.IGNORECASE)
