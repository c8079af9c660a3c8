"""Repeats a request where the fault may pass, and says in our own words what went wrong.

No text of a server or a client library is shown to the user: it may quote keys, tokens and signed URLs.
"""

from __future__ import annotations

import errno
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sanitizer.util.bounded_read import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is tried, and how long each try may take.

    Attributes:
        in_flight: Requests that one process has open at a time.
        tries: Number of tries before a request fails.
        first_wait_s: Mean wait before the second try; it doubles from try to try. Each wait is random, from half to
            one and a half times the mean, so that many readers do not try again at the same moment.
        longest_wait_s: The longest mean wait.
        timeout_s: A try fails without a complete answer after this time, and one second more for each
            `slowest_bytes_per_s` requested bytes.
        slowest_bytes_per_s: See `timeout_s`.
    """

    in_flight: int = 64
    tries: int = 6
    first_wait_s: float = 0.25
    longest_wait_s: float = 8.0
    timeout_s: float = 30.0
    slowest_bytes_per_s: int = 100_000

    def wait_s(self, failed: int) -> float:
        """Seconds to wait after the failed tries so far."""
        return min(self.first_wait_s * 2.0 ** (failed - 1), self.longest_wait_s) * random.uniform(0.5, 1.5)

    def limit_s(self, n_bytes: int) -> float:
        """Seconds that one try for so many bytes may take."""
        return self.timeout_s + n_bytes / self.slowest_bytes_per_s


RETRY_POLICY = RetryPolicy()

_THREAD = threading.local()
_NEVER = threading.Event()


def call_until_abandoned(abandoned: threading.Event, call: Callable[[S], T], item: S) -> T:
    """`call(item)` in this thread. Once the event is set, `with_retries` neither waits nor tries again."""
    _THREAD.abandoned = abandoned
    return call(item)


def _abandoned() -> threading.Event:
    event: threading.Event = getattr(_THREAD, "abandoned", _NEVER)
    return event


class IncompleteBodyError(Exception):
    """The answer has fewer bytes than requested; the text says how many."""


class OutOfRangeError(Exception):
    """The requested bytes lie beyond the end of the file."""


class RefusedAnswerError(Exception):
    """An answer that we refuse, so that a retry is useless; the text says why, in our own words."""


def with_retries(attempt: Callable[[], T], patience: RetryPolicy | None = None) -> T:
    """What `attempt` returns, tried again after faults that may pass.

    Raises:
        FileNotFoundError, PermissionError: The server says so; not tried again.
        OutOfRangeError: The bytes lie beyond the end of the file.
        TooLargeError: There are more bytes than the limit.
        OSError: The last try failed, too; `strerror` says how, without the server's words.
    """
    patience = patience or RETRY_POLICY
    for failed in range(1, patience.tries + 1):
        try:
            return attempt()
        except Exception as error:
            fault = _fault(error)
        # Raised here, where no exception is being handled, so that no traceback shows the server's words.
        if not fault.passes:
            raise fault.error
        if failed < patience.tries:
            _wait(patience.wait_s(failed))
        if _abandoned().is_set():
            break
    words = f"{fault.error} ({failed} tries)" if failed > 1 else str(fault.error)
    raise OSError(errno.EIO, words)


def _wait(seconds: float) -> None:
    _abandoned().wait(seconds)


@dataclass(frozen=True, slots=True)
class _FailedTry:
    error: Exception
    passes: bool = False


def _passing(words: str) -> _FailedTry:
    return _FailedTry(IncompleteBodyError(words), passes=True)


def _fault(error: Exception) -> _FailedTry:
    """Our own error for an exception of a client library."""
    if isinstance(error, OutOfRangeError):
        return _FailedTry(OutOfRangeError())
    if isinstance(error, IncompleteBodyError):
        return _passing(str(error))
    if isinstance(error, TooLargeError):
        return _FailedTry(error)
    if isinstance(error, RefusedAnswerError):
        return _FailedTry(OSError(errno.EIO, str(error)))
    status = _http_status(error)
    if status is not None:
        return _by_status(status)
    if isinstance(error, FileNotFoundError):
        return _FailedTry(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    if isinstance(error, PermissionError):
        return _FailedTry(PermissionError(errno.EACCES, "Permission denied"))
    names = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    if names & _TIMEOUTS:
        return _passing("no answer in time")
    if names & _NO_SERVER:
        return _passing("no server answers there")
    if names & _BROKEN:
        return _passing("the connection broke off")
    if names & _NO_CREDENTIALS:
        return _FailedTry(PermissionError(errno.EACCES, "no credentials were found for it"))
    if isinstance(error, OSError) and error.errno in _PASSING_ERRNO:
        return _passing("the connection broke off")
    return _FailedTry(OSError(errno.EIO, f"the client failed with {type(error).__name__}"))


def _by_status(status: int) -> _FailedTry:
    if status == 404:
        return _FailedTry(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    if status in (401, 403):
        return _FailedTry(PermissionError(errno.EACCES, f"Permission denied (the server answered {status})"))
    if status == 416:
        return _FailedTry(OutOfRangeError())
    words = f"the server answered {status}"
    return (
        _passing(words)
        if status >= 500 or status in (408, 425, 429)
        else _FailedTry(OSError(errno.EIO, words))
    )


_TIMEOUTS = frozenset(("TimeoutError", "FSTimeoutError", "ReadTimeoutError", "ConnectTimeoutError"))
_NO_SERVER = frozenset(("ConnectionRefusedError", "gaierror", "ClientConnectorDNSError"))
_BROKEN = frozenset(
    (
        "ConnectionError",  # built-in, botocore's and requests'
        "HTTPClientError",  # botocore: everything between it and an answer
        "IncompleteReadError",
        "ResponseStreamingError",
        "ResponseParserError",  # an answer cut off in the middle of its XML
        "ClientPayloadError",  # aiohttp
        "ClientConnectionError",
        "ClientOSError",
        "ServerDisconnectedError",
        "IncompleteRead",  # http.client
        "RemoteDisconnected",
        "ProtocolError",  # urllib3
        "HttpProcessingError",
        "TransferEncodingError",
        "BadStatusLine",
    )
)
_NO_CREDENTIALS = frozenset(
    ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError",
     "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "DefaultCredentialsError")
)  # fmt: skip
_PASSING_ERRNO = frozenset(
    (errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EPIPE, errno.EBUSY,
     errno.EHOSTUNREACH, errno.ENETUNREACH)
)  # fmt: skip


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was raised from, a few at most."""
    each: BaseException | None = error
    for _ in range(5):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__


def _http_status(error: Exception) -> int | None:
    """The status that a server answered with, from botocore's, aiohttp's and Google's exceptions."""
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = response.get("Error", {}).get("Code")
            if isinstance(status, int) and status >= 300:
                return status
            # An error in the body of a 200, as S3 sends once it has begun to answer.
            if code in ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"):
                return 503
        # aiohttp's parser reports a body that is cut off as 400, too. The server sent no such status.
        name = "code" if type(each).__module__.startswith("gcsfs") else "status"
        status = getattr(each, name, None)
        if isinstance(status, int | str) and str(status).isdigit() and 300 <= int(status) < 600:
            return int(status)
    return None
