"""Reads objects of a bucket by plain signed requests: a fifth of the processor time that a full S3 client takes each.

The first object is read by the full client, which knows profiles, endpoints, regions and ways of addressing; how it
asked is how all others are asked for. Where it did anything out of the ordinary, it goes on reading by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from sanitizer.dataset import retries

if TYPE_CHECKING:
    from collections.abc import Mapping

_USUAL_HEADERS = frozenset(
    ("x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-checksum-mode")
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Variables that send the full client by another way than we would go."""


class StatusError(Exception):
    """A server's answer that holds no file.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Manner:
    """How objects of a bucket are asked for.

    Attributes:
        base: URL that every quoted key follows.
        region, service: As they are signed; "" where requests are not signed.
    """

    base: str
    region: str
    service: str


def quoted(key: str) -> str:
    """A key as S3 clients write it in URLs."""
    return quote(key, safe="/~")


def manner_of(url: str, headers: Mapping[str, Any], key: str) -> Manner | None:
    """How a full client asked for a key; None where that cannot be repeated."""
    place = urlsplit(url)
    if place.query or not url.endswith(f"/{quoted(key)}") or any(map(os.environ.get, _PROXIES)):
        return None
    told = {name.lower(): _text(value) for name, value in headers.items()}
    if any(name.startswith("x-amz-") and name not in _USUAL_HEADERS for name in told):
        return None
    base = url[: -len(quoted(key))]
    signed = told.get("authorization")
    if signed is None:
        return Manner(base, "", "")
    scope = signed.partition("Credential=")[2].partition(",")[0].split("/")
    if not signed.startswith("AWS4-HMAC-SHA256 ") or len(scope) < 5 or scope[-2] != "s3":
        return None
    return Manner(base, scope[-3], scope[-2])


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class SignedReader:
    """Sends the requests. Lives in the event loop of one file system."""

    def __init__(self, fs: Any, manner: Manner) -> None:
        self._fs, self._manner = fs, manner
        self._session: Any = None
        self._beginning = importlib.import_module("asyncio").Lock()
        self._credentials: Any = None
        self._sign = importlib.import_module("botocore.auth").S3SigV4Auth
        self._request = importlib.import_module("botocore.awsrequest").AWSRequest
        self._address = importlib.import_module("yarl").URL

    async def get(self, key: str, start: int, stop: int | None) -> bytes:
        """Bytes start to stop of an object. Raises StatusError, and whatever aiohttp raises."""
        async with self._beginning:
            session = self._session or await self._begin()
        url = self._manner.base + quoted(key)
        headers = {"Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if self._manner.service:
            frozen = await self._credentials.get_frozen_credentials()
            request = self._request("GET", url, headers=headers)
            self._sign(frozen, self._manner.service, self._manner.region).add_auth(request)
            headers = dict(request.headers)
        async with session.get(
            self._address(url, encoded=True), headers=headers, allow_redirects=False
        ) as answer:
            if answer.status >= 300:
                raise StatusError(answer.status)
            data: bytes = await answer.read()
            return data

    async def _begin(self) -> Any:
        aiohttp = importlib.import_module("aiohttp")
        if self._manner.service:
            self._credentials = await self._fs.session.get_credentials()
        limit = retries.PATIENCE.timeout_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=limit, sock_read=limit)
        connector = aiohttp.TCPConnector(limit=retries.PATIENCE.in_flight, ssl=_trusted(self._manner.base))
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        atexit.register(_close, os.getpid(), self._fs.loop, self._session)
        return self._session


def _close(process: int, loop: Any, session: Any) -> None:
    """Close the connections at exit, as aiohttp complains of those that are left open."""
    if process == os.getpid() and loop.is_running():
        with contextlib.suppress(Exception):
            importlib.import_module("asyncio").run_coroutine_threadsafe(session.close(), loop).result(1)


def _trusted(base: str) -> Any:
    """Which certificates to trust: those that botocore is told of by variables, or the system's."""
    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not base.startswith("https:") or not bundle:
        return True
    return importlib.import_module("ssl").create_default_context(cafile=bundle)
