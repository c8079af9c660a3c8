"""A dataset elsewhere gives the report that it gives on this disk; what cannot be read there is named."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from example_files import build, task_of
from image_samples import HEALTHY
from published_sets import PUBLISHED_SETS
from remote_fixtures import QuietHandler
from remote_places import (
    KEY,
    SECRET,
    comparable,
    entry,
    flawed_set,
    in_memory,
    same_everywhere,
    zipped,
)

from sanitizer import scan
from sanitizer.archives.finding import find_dataset
from sanitizer.cli import main
from sanitizer.images.image_files import read_images
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.remote_reading import read_chunk, read_remote_images
from sanitizer.storage.base import StorageError
from sanitizer.storage.opening import open_storage

pytest.importorskip("fsspec", reason="needs the remote extra")

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.images.image_files import ImageMode


# Rules about links and about what is no regular file have nothing to say where there are none.
def without_links(kind: str) -> list[Any]:
    """Examples, and how their images are read; of rules about labels the quick tests take the first, not decoded."""
    return [
        pytest.param(
            *(rule.tasks, example, images),
            id=f"{rule.code}-{kind}-{number}-{images}",
            marks=[pytest.mark.slow]
            if rule.code[0] not in "DI" and (number, images) != (1, "header")
            else [],
        )
        for rule in load_rules().values()
        if rule.scope != "recipe" and not rule.code.startswith("G")  # a scan never fires these
        for number, example in enumerate(rule.examples[kind], 1)
        if "link" not in str(example.get("files", ""))
        and rule.code not in ("L010", "F001")  # F001 names the absolute path
        for images in ("header", "decode")
    ]


@pytest.mark.thorough
@pytest.mark.parametrize(("tasks", "example", "images"), without_links("bad"))
def test_every_rule_finds_its_bad_examples_in_memory_and_in_an_archive(
    tasks: tuple[str, ...], example: dict[str, Any], images: ImageMode, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"  # some examples have files beside the dataset
    folder = outer / "example"
    built = build(example, folder, tasks)
    archive = zipped(outer, tmp_path / "outer.zip")
    inside = built.relative_to(outer).as_posix()
    places = [f"{in_memory(outer)}/{inside}", f"zip://{inside}::{archive}"]
    same_everywhere(folder, places, task=task_of(example, tasks), images=images, jobs=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED_SETS)
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


def test_a_dataset_elsewhere_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    folder = flawed_set(tmp_path / "set")
    for url in (in_memory(folder), str(zipped(folder, tmp_path / "set.zip"))):
        dataset = find_dataset([url])
        dataset.storage.drop_listings()
        sent = pickle.loads(pickle.dumps(dataset))
        for here, there in zip(dataset.splits, sent.splits, strict=True):
            chunk, spec = there.chunk(0, len(there)), sent.task_spec("detect")
            far = read_chunk(sent.storage, chunk, spec, "header")
            near = read_chunk(dataset.storage, here.chunk(0, len(here)), spec, "header")
            assert (far.labels.digest == near.labels.digest).all() and near.labels.digest.any()
            assert (far.images.width == near.images.width).all() and (near.images.width > 0).any()


def test_another_machine_is_told_an_address_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp", reason="needs aiohttp")
    archive = zipped(flawed_set(tmp_path / "set"), tmp_path / "set.cbz")
    monkeypatch.chdir(tmp_path)
    storage, path = open_storage("zip://images::set.cbz")
    assert storage.address() == f"zip://{archive}"
    assert open_storage(storage.address())[0].isdir(path)
    assert open_storage("http://localhost:9/set")[0].address() == "http://localhost:9"
    for secret in ("http://user:planted@localhost:9/set", "http://localhost:9/set?token=planted"):
        with pytest.raises(StorageError, match="not sent to other machines") as refused:
            open_storage(secret)[0].address()
        assert "planted" not in str(refused.value)


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


@pytest.mark.parametrize(
    "command",
    [
        "fix",
        "undo",
        *(pytest.param(name, marks=pytest.mark.probe) for name in ("probe", "preflight", "train")),
    ],
)
def test_only_scan_reads_elsewhere(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = zipped(flawed_set(tmp_path / "set"), tmp_path / "set.zip")
    model = ["--model", "yolo11n.pt"] if command in ("probe", "preflight", "train") else []
    for path, advice in ((str(archive), f"unpack {archive}"), ("s3://bucket/set/data.yaml", "copy this one")):
        assert main([command, path, *model]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "only `sanitize scan` reads datasets" in error and advice in error
    assert main([command, "ul://me/datasets/ships", *model]) == 2
    assert "is on Ultralytics' platform" in (error := capsys.readouterr().err)
    assert "make a folder of it by Ultralytics' `convert_ndjson_to_yolo`" in error


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/data.yaml", "pip install gcsfs"),
        ("nonsense://x/data.yaml", "no protocol that sanitize reads"),
        ("ul://me/datasets/ships", "ul://me/datasets/ships is on Ultralytics' platform, which hands it to"),
        ("https://platform.ultralytics.com/me/datasets/ships", "as NDJSON, and scan that file"),
        (f"s3://{KEY}:planted@bucket/data.yaml", "takes no user or key within the URL"),
        ("memory://nowhere/data.yaml", "does not exist"),
        ("memory://nowhere", "does not exist"),
        ("s3://", "names no bucket"),
        ("simplecache::s3://bucket/data.yaml", "can be chained"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence(
    url: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sanitizer.ultra.adapter.platform.installed_version", lambda: None)
    if "gcsfs" in words and __import__("importlib.util").util.find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    assert main(["scan", url]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error and KEY not in error


@pytest.mark.thorough
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


# A web server


@pytest.mark.thorough
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
    monkeypatch.setattr(QuietHandler, "wanted", "X-Amz-Signature=planted")
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


def test_a_few_thousand_pairs_elsewhere_are_shared_by_several_processes() -> None:
    import fsspec

    from sanitizer.scanner import pieces as work

    memory = fsspec.filesystem("memory")
    for i in range(3000):
        memory.pipe_file(f"/several/labels/train/{i:05}.txt", b"0 0.5 0.5 0.1 0.1\n")
    dataset = find_dataset(["memory://several"])
    parts = list(work.pieces(dataset, work.mean_length(dataset, "header")))
    assert sum(map(len, parts)) == 3000
    assert len(parts) >= 3 and max(map(len, parts)) <= 4 * work.REMOTE_PAIRS_PER_CHUNK
