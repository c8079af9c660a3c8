"""Reads label files of a remote storage, many requests at a time."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from sanitizer.labels.label_files import parse_arriving
from sanitizer.storage.concurrent import whole_files
from sanitizer.util import limits
from sanitizer.util.bounded_read import as_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sanitizer.dataset.tables import LabelTable, TaskSpec
    from sanitizer.storage.base import Storage


def read_remote_labels(
    storage: Storage,
    paths: Sequence[str | None],
    spec: TaskSpec,
    sizes: Sequence[int] | None = None,
    take: Callable[[int, bytes], None] | None = None,
) -> LabelTable:
    """Label files as `read_labels` reads them.

    Args:
        storage, paths, spec: Where they are, and what training assumes of every row.
        sizes: Their bytes, -1 where unknown.
        take: Given the number and the bytes of each file that could be read.
    """
    contents = whole_files(storage, paths, spec.max_label_bytes, sizes)
    if take is not None:
        contents = _taken(contents, take)
    return parse_arriving(_as_many_as_fit(contents), len(paths), spec)


def _taken(
    contents: Iterable[bytes | OSError | None], take: Callable[[int, bytes], None]
) -> Iterator[bytes | OSError | None]:
    """The contents, each file's bytes given to `take` on the way."""
    for number, content in enumerate(contents):
        if isinstance(content, bytes):
            take(number, content)
        yield content


def _as_many_as_fit(contents: Iterable[bytes | OSError | None]) -> Iterator[bytes | OSError | None]:
    """The contents, up to `CHUNK_LABEL_BYTES` in all; an error in place of each further one."""
    total = 0
    for content in contents:
        total += len(content) if isinstance(content, bytes) else 0
        if isinstance(content, bytes) and total > limits.CHUNK_LABEL_BYTES:
            held = as_size(limits.CHUNK_LABEL_BYTES)
            yield OSError(errno.ENOMEM, f"labels around it take more than the {held} that are judged at once")
        else:
            yield content
