"""Which answers of a web server are accepted: bodies up to a limit, and redirects to allowed addresses."""

from __future__ import annotations

import asyncio
import ipaddress
import zlib
from typing import Any
from urllib.parse import urljoin, urlsplit

from sanitizer.storage.retries import RefusedAnswerError
from sanitizer.util.bounded_read import too_large

_PART_BYTES = 1 << 16


async def read_body(answer: Any, limit: int, name: str) -> bytes:
    """All of the body of an aiohttp answer, unpacked where it came compressed.

    Args:
        answer: Its body is not read yet, and not unpacked by aiohttp.
        limit: The most bytes, both compressed and unpacked.
        name: For the error.

    Raises:
        TooLargeError: There are more.
        RefusedAnswerError: The compression is unknown, or the body is damaged.
    """
    if (answer.content_length or 0) > limit:
        raise too_large(limit, name)
    parts, length = [], 0
    async for part in answer.content.iter_chunked(_PART_BYTES):
        parts.append(part)
        length += len(part)
        if length > limit:
            raise too_large(limit, name)
    body = b"".join(parts)
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate") or answer.status == 206:
        raise RefusedAnswerError("the server sends it compressed, and was asked not to")
    try:
        unpacked = zlib.decompressobj(47).decompress(body, limit + 1)
    except zlib.error:
        raise RefusedAnswerError("the server sends it compressed, and what came cannot be unpacked") from None
    if len(unpacked) > limit:
        raise too_large(limit, name)
    return unpacked


async def allowed_target(address: str, location: str) -> str:
    """Where a redirect leads: to http or https, from https to https only, and from a public server to public ones.

    Raises:
        RefusedAnswerError: It leads elsewhere. A public server must not choose what is read from the local network.
    """
    target = urljoin(address, location)
    before, after = urlsplit(address), urlsplit(target)
    if after.scheme not in ("http", "https") or not after.hostname:
        raise RefusedAnswerError("the server redirects to an address that is not of the web")
    if before.scheme == "https" and after.scheme != "https":
        raise RefusedAnswerError("the server redirects from https to http")
    if (
        after.hostname != before.hostname
        and not await _is_public(after.hostname)
        and await _is_public(before.hostname)
    ):
        raise RefusedAnswerError("the server redirects to an address that is not public")
    return target


async def _is_public(host: str | None) -> bool:
    """Whether all addresses of a host are public ones. Raises OSError where it has none."""
    known = await asyncio.get_running_loop().getaddrinfo(host, None)
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_global for each in known)
