"""Buckets of S3 and compatible servers. Listings come page by page, and each page is retried by itself."""

from __future__ import annotations

import importlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from sanitizer.storage import retries
from sanitizer.storage.folder_entries import FolderEntries, stamp_of
from sanitizer.storage.fsspec_ import FsspecStorage
from sanitizer.storage.retries import IncompleteBodyError, with_retries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class S3Storage(FsspecStorage):
    """A bucket. Credentials, region and endpoint are found as by every AWS client (AWS_PROFILE, AWS_ENDPOINT_URL, …)
    or by fsspec's configuration (FSSPEC_S3_ANON=true for public buckets)."""

    def options(self) -> Mapping[str, Any]:
        """Turn off the retries of s3fs and botocore, which would multiply ours."""
        configured = importlib.import_module("fsspec.config").conf
        given = dict(configured.get("s3", {}).get("config_kwargs", {}))
        ours = {
            "connect_timeout": retries.RETRY_POLICY.timeout_s,
            "read_timeout": retries.RETRY_POLICY.timeout_s,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "max_pool_connections": retries.RETRY_POLICY.in_flight,
        }
        return {"config_kwargs": {**given, **ours}}

    def connect(self) -> Any:
        """An S3FileSystem that tries each request once."""
        fs = super().connect()
        fs.retries = 1
        return fs

    def list_once(self, path: str) -> FolderEntries:
        """The folder's names; 1000 a request."""
        found = FolderEntries()
        prefix = self._prefix(path)
        for page in self._pages(prefix, "/"):
            for common in page.get("CommonPrefixes", ()):
                name = common["Prefix"][len(prefix) :].rstrip("/")
                if _is_name(name):
                    found.folders[name] = None
            for item in page.get("Contents", ()):
                name = item["Key"][len(prefix) :]
                if _is_name(name):
                    found.add(name, item["Size"], stamp_of(item.get("ETag"), item["LastModified"]))
        return found

    def list_below(self, path: str) -> Mapping[str, FolderEntries]:
        """All folders at and below this one; 1000 files a request, however many folders they are in."""
        prefix = self._prefix(path)
        found = {path: FolderEntries()}
        for page in self._pages(prefix, ""):
            for item in page.get("Contents", ()):
                inner, _, name = item["Key"][len(prefix) :].rpartition("/")
                if inner and not all(map(_is_name, inner.split("/"))):
                    continue
                folder = _with_parents(found, f"{path}/{inner}" if inner else path)
                if _is_name(name):
                    folder.add(name, item["Size"], stamp_of(item.get("ETag"), item["LastModified"]))
        return found

    def _prefix(self, path: str) -> str:
        inner = path[len(self.anchor) + 1 :]
        return f"{inner}/" if inner else ""

    def _pages(self, prefix: str, delimiter: str) -> Iterator[Mapping[str, Any]]:
        arguments: dict[str, Any] = {"Bucket": self.anchor[1:], "Prefix": prefix, "Delimiter": delimiter}
        while True:
            page = with_retries(partial(self._page, arguments))
            self.count_listed_names(len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ())))
            yield page
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self.call("call_s3", "list_objects_v2", **arguments)
        counted = len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ()))
        if page.get("KeyCount", counted) != counted:
            raise IncompleteBodyError("a listing came cut off")
        return page


def _is_name(name: str) -> bool:
    """Whether a part of a key can be a name: keys may hold empty ones, which no path has."""
    return name not in ("", ".", "..")


def _with_parents(found: dict[str, FolderEntries], folder: str) -> FolderEntries:
    """The entries of a folder, which is added to `found` with all folders above it that are missing there."""
    if folder not in found:
        parent, name = os.path.split(folder)
        _with_parents(found, parent).folders[name] = None
        found[folder] = FolderEntries()
    return found[folder]
