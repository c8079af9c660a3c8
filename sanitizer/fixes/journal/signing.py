"""Whose run it is: each run is signed with a key that only this user has, and that no dataset can bring along.

    <state folder>/journal.key    32 random bytes, for this user alone

The signature covers the run's id and its run.json, which holds the hash of all original bytes. It does not cover the
place of the dataset, so that a dataset may be moved or copied: a run is taken back only where every label file is, byte
for byte, what the run says, which binds it to its labels wherever they lie.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from typing import TYPE_CHECKING

from sanitizer.fixes.journal.manifest import JournalError
from sanitizer.util.bounded_read import TooLargeError
from sanitizer.util.folder import Folder, open_folder
from sanitizer.util.paths import is_absolute, join_path

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEY_NAME = "journal.key"
_KEY_BYTES = 32
_PURPOSE = b"sanitize journal run 1\0"
_WAY_OUT = "set SANITIZE_STATE_DIR to the absolute path of a folder of yours; nothing was changed"


def state_root() -> str | None:
    """Absolute path of the user's state folder for sanitize, which SANITIZE_STATE_DIR overrides; None without one."""
    folder = os.environ.get("SANITIZE_STATE_DIR")
    if not folder:
        from platformdirs import user_state_dir

        try:
            folder = user_state_dir("sanitize", appauthor=False)
        except RuntimeError:  # there is no home folder
            return None
    return folder if is_absolute(folder) else None


def sign(run_id: str, manifest: bytes) -> str:
    """The signature of a run: 64 hexadecimal digits. The first time, the key is made.

    Raises:
        JournalError: There is no key, and none can be made.
    """
    return _signature(_key(), run_id, [manifest])


def is_signed(run_id: str, manifest: Iterable[bytes], signature: bytes) -> bool:
    """Whether this user signed the run of that id, with a run.json of these pieces.

    Raises:
        JournalError: There is a key, and it cannot be read.
    """
    key = _existing_key()
    return key is not None and hmac.compare_digest(_signature(key, run_id, manifest).encode(), signature)


def _signature(key: bytes, run_id: str, manifest: Iterable[bytes]) -> str:
    code = hmac.new(key, _PURPOSE + run_id.encode() + b"\0", "sha256")
    for piece in manifest:
        code.update(piece)
    return code.hexdigest()


def _key() -> bytes:
    key = _existing_key()
    if key is not None:
        return key
    root = state_root()
    if root is None:
        raise JournalError(
            "there is no home folder (or SANITIZE_STATE_DIR is no absolute path) to keep the key in that signs the"
            f" journal: {_WAY_OUT}"
        )
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        with open_folder(root) as folder:
            _make_key(folder)
    except OSError as error:
        raise JournalError(
            f"{error.filename or root}: {error.strerror}; the key that signs the journal is kept there: {_WAY_OUT}"
        ) from error
    made = _existing_key()
    if made is None:
        raise JournalError(f"{root}: the key that signs the journal does not stay there: {_WAY_OUT}")
    return made


def _existing_key() -> bytes | None:
    root = state_root()
    if root is None:
        return None
    path = join_path(root, _KEY_NAME)
    reason = f"is no key of {_KEY_BYTES} bytes"
    try:
        with open_folder(root) as folder:
            key = folder.read(_KEY_NAME, _KEY_BYTES)
        if len(key) == _KEY_BYTES:
            return key
    except (FileNotFoundError, NotADirectoryError):
        return None
    except TooLargeError:
        pass
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise JournalError(
        f"{path}: the key that signs the journal {reason}: remove it, which makes a new one at the next fix (runs of"
        f" before then need `sanitize undo --trust-journal`), or {_WAY_OUT}"
    )


def _make_key(folder: Folder) -> None:
    """Put a new key into the folder, whole and in one step; where another process was first, its key stays."""
    part = f".{_KEY_NAME}.{os.urandom(8).hex()}.part"
    try:
        with folder.create(part, 0o600) as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        folder.publish(part, _KEY_NAME)
    finally:
        with contextlib.suppress(OSError):
            folder.unlink(part)
    folder.sync()
