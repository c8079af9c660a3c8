"""A bucket on a real S3 server whose requests fail: the same report, or files that are named; no secret is told."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from remote_places import (
    BUCKET,
    KEY,
    SECRET,
    Faults,
    Proxy,
    comparable,
    entry,
    files_of,
    flawed_set,
    same_everywhere,
)

import sanitizer.storage.retries as retries
from sanitizer import scan
from sanitizer.archives.finding import find_dataset
from sanitizer.cli import main
from sanitizer.storage.base import StorageError
from sanitizer.storage.retries import RetryPolicy, with_retries

pytest.importorskip("fsspec", reason="needs the remote extra")
pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# Retries


def test_what_may_pass_is_tried_again_and_the_rest_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retries, "_wait", waits.append)
    patience = RetryPolicy(tries=5, first_wait_s=1.0, longest_wait_s=3.0)

    def attempts(*outcomes: Any) -> tuple[Callable[[], Any], list[Any]]:
        left = list(outcomes)

        def attempt() -> Any:
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return attempt, left

    call, left = attempts(
        ConnectionResetError(), TimeoutError(), BrokenPipeError(), OSError(errno.ETIMEDOUT, "x"), "there"
    )
    assert with_retries(call, patience) == "there" and not left
    assert all(0.5 * mean <= wait <= 1.5 * mean for wait, mean in zip(waits, (1, 2, 3, 3), strict=True))
    call, left = attempts(*[ConnectionResetError(SECRET)] * 9)
    with pytest.raises(OSError, match=r"no server answers there \(2 tries\)"):
        with_retries(attempts(*[ConnectionRefusedError()] * 2)[0], replace(patience, tries=2))
    waits.clear()
    with pytest.raises(OSError, match=r"the connection broke off \(5 tries\)") as caught:
        with_retries(call, patience)
    assert len(left) == 4 and caught.value.__context__ is None and caught.value.__cause__ is None
    for final in (FileNotFoundError(SECRET), PermissionError(SECRET), ValueError(SECRET)):
        call, left = attempts(final, "never")
        with pytest.raises(OSError) as caught:
            with_retries(call, patience)
        assert left == ["never"] and SECRET not in repr(caught.value) and caught.value.__context__ is None


# A real S3-compatible server


def test_a_bucket_gives_the_report_of_the_disk_by_few_requests(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    flawed_set(folder / "set", pairs=60)
    local = scan(folder / "set/data.yaml", images="header")
    proxy.reset()
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="header", cache=False)
    assert comparable(far) == comparable(local)
    gets = [r for r in proxy.requests if "list-type" not in r]
    lists = len(proxy.requests) - len(gets)
    assert all(request.startswith("GET ") for request in proxy.requests)
    images = [r for r in gets if "/images/" in r]
    labels = [r for r in gets if "/labels/" in r]
    # Copies of example.jpg are read once more, to be told from pictures that only begin and end alike.
    assert len(images) <= 2 * local.summary.images + 4
    # Each label once; those of copies a second time, to be compared.
    assert len(labels) <= local.summary.labels + 4
    assert len(gets) - len(images) - len(labels) == 1  # the data.yaml
    assert lists <= 12


def test_listings_go_page_by_page(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    train = folder / "set/labels/train"
    train.mkdir(parents=True)
    for i in range(2500):
        (train / f"{i:05}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (folder / "set/labels/train/deep").mkdir()
    (folder / "set/labels/train/deep/x.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    proxy.reset(Faults(internal=0.1, slow_down=0.1, reset=0.1, cut=0.1, always="list-type", seed=3))
    (split,) = find_dataset([f"s3://{BUCKET}/set"]).splits
    (local,) = find_dataset([str(folder / "set")]).splits
    assert split.names == local.names and len(split) == 2501
    assert split.states is not None and (split.states[:, 2] == 18).all() and (split.states[:, 3] >= 0).all()
    assert sum(proxy.failed.values()) > 0
    assert len({r for r in proxy.requests if "continuation" in r}) >= 2


@pytest.mark.parametrize("seed", range(4))
def test_faults_that_pass_leave_no_trace(s3: tuple[Proxy, Path], seed: int) -> None:
    proxy, folder = s3
    flawed_set(folder / "set", pairs=40)
    local = scan(folder / "set/data.yaml", images="header")
    chances = {
        "internal": 0.06,
        "slow_down": 0.06,
        "too_many": 0.04,
        "reset": 0.06,
        "cut": 0.06,
        "stall": 0.02,
    }
    proxy.reset(Faults(**chances, stall_s=3.0, seed=seed))
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="header", cache=False)
    assert comparable(far) == comparable(local)
    assert len(proxy.failed) >= 4


def test_faults_that_stay_are_named_file_by_file(
    s3: tuple[Proxy, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, folder = s3
    flawed_set(folder / "set", pairs=10)
    monkeypatch.setattr(retries, "RETRY_POLICY", RetryPolicy(tries=3, first_wait_s=0.01, timeout_s=1.0))
    for chances, words in (
        ({"internal": 1.0}, "the server answered 500 (3 tries)"),
        ({"slow_down": 1.0}, "the server answered 503 (3 tries)"),
        ({"reset": 1.0}, "the connection broke off (3 tries)"),
        ({"cut": 1.0}, "(3 tries)"),
        ({"stall": 1.0, "stall_s": 9.0}, "no answer in time (3 tries)"),
    ):
        for name, rule in (("labels/train/p3.txt", "L001"), ("images/train/p4.jpg", "I001")):
            proxy.reset(Faults(**chances, always=f"/{name}"))
            report = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect")
            (finding,) = [f for f in report.findings if f.rule in ("L001", "I001")]
            assert (finding.rule, finding.file) == (rule, name)
            assert words in finding.message, finding.message
            assert any("1 file could not be read" in note for note in report.notes)
            # aiohttp itself asks once more where a connection that it kept open is reset.
            assert 3 <= len([r for r in proxy.requests if name in r]) <= (6 if "reset" in chances else 3)
            said = repr(report.to_dict())
            assert KEY not in said and SECRET not in said
    proxy.reset(Faults(internal=1.0, always="/labels/train/p3.txt"))
    assert main(["scan", f"s3://{BUCKET}/set/data.yaml", "--task", "detect", "--ignore", "L,B,C,D,I"]) == 1
    said = "".join(capsys.readouterr())
    assert "1 file could not be read" in said and KEY not in said and SECRET not in said
    # The fault is not remembered: once it has passed, the same scan is whole.
    proxy.reset()
    assert comparable(scan(f"s3://{BUCKET}/set/data.yaml")) == comparable(scan(folder / "set/data.yaml"))


@pytest.mark.parametrize("always", ["data.yaml", "list-type"])
def test_without_yaml_or_listing_there_is_one_sentence_and_status_2(
    always: str, s3: tuple[Proxy, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, folder = s3
    flawed_set(folder / "set")
    monkeypatch.setattr(retries, "RETRY_POLICY", RetryPolicy(tries=2, first_wait_s=0.01, timeout_s=1.0))
    monkeypatch.setenv("SANITIZE_TRACEBACK", "")
    proxy.reset(Faults(internal=1.0, always=always))
    with pytest.raises(StorageError) as caught:
        main(["scan", f"s3://{BUCKET}/set/data.yaml"])
    chain: BaseException | None = caught.value
    while chain is not None:
        assert KEY not in repr(chain) and SECRET not in repr(chain)
        chain = chain.__cause__ or chain.__context__
    monkeypatch.delenv("SANITIZE_TRACEBACK")
    proxy.reset(Faults(internal=1.0, always=always))
    assert main(["scan", f"s3://{BUCKET}/set/data.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the server answered 500 (2 tries)" in error
    assert KEY not in error and SECRET not in error


def test_names_of_all_kinds(s3: tuple[Proxy, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = s3
    top = flawed_set(folder / "my set (1)+ü&=~'!")
    for name in ("a b", "ü", "a+b", "100%", "x=y&z", "q?", "semi;colon", "tilde~"):
        shutil.copy(top / "images/train/a.jpg", top / f"images/train/{name}.jpg")
        (top / f"labels/train/{name}.txt").write_text("0 0.5 0.5 0 0.2\n")
    local = scan(top / "data.yaml", images="header")
    assert comparable(
        scan(f"s3://{BUCKET}/{top.name}/data.yaml", images="header", cache=False)
    ) == comparable(local)


def test_wrong_keys_are_not_tried_again(
    s3: tuple[Proxy, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, folder = s3
    flawed_set(folder / "set")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong+planted/secret")
    assert main(["scan", f"s3://{BUCKET}/set/data.yaml"]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and "Permission denied" in error
        and "planted" not in error
        and KEY not in error
    )
    assert len(proxy.requests) <= 2


def test_a_rescan_of_a_bucket_reads_what_changed(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    flawed_set(folder / "set", pairs=20)
    first = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect")
    proxy.reset()
    again = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect")
    assert comparable(again) == comparable(first)
    # Copies are compared anew; nothing else is.
    assert {r.rpartition("/")[2] for r in proxy.requests if "/labels/" in r} <= {
        "bad.txt",
        "example.txt",
        "a.txt",
    }
    (folder / "set/labels/train/p3.txt").write_text("0 0.5 0.5 0 0.3\n")
    changed = scan(f"s3://{BUCKET}/set/data.yaml", images="header", task="detect")
    assert comparable(changed) == comparable(scan(folder / "set/data.yaml", images="header", task="detect"))
    assert comparable(changed) != comparable(first)


@pytest.mark.usefixtures("workers_of_users")
def test_worker_processes_read_for_themselves(s3: tuple[Proxy, Path]) -> None:
    _, folder = s3
    flawed_set(folder / "set", pairs=150)
    local = scan(folder / "set/data.yaml", images="decode")
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="decode", cache=False, jobs=2)
    assert comparable(far) == comparable(local)


def test_published_sets_from_a_bucket_that_fails(s3: tuple[Proxy, Path], shared_data: Path) -> None:
    proxy, folder = s3
    for name in ("ultralytics_coco8", "ultralytics_dota8", "bccd"):
        if (shared_data / name).is_dir():
            for path in files_of(shared_data / name):
                target = folder / path.relative_to(shared_data)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            proxy.reset(Faults(internal=0.02, slow_down=0.02, reset=0.02, cut=0.02, seed=1))
            same_everywhere(folder / name, [f"s3://{BUCKET}/{name}{entry(folder / name)}"], images="header")
