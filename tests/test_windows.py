"""Under Windows' rules of paths: the same findings, baselines, journals, lists and views as elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from example_files import image_bytes

from sanitizer.util import atomic, paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in for Windows")

HERE = Path(__file__).parent
RUN = """
import contextlib, io, json, sys
import windows_paths
windows_paths.enter()
from sanitizer.cli import main
answers = []
for command in json.load(sys.stdin):
    if command[0] == "hold":
        windows_paths.hold(command[1])
        continue
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(command)
    out.flush()
    answers.append((status, out.buffer.getvalue().decode(), err.getvalue()))
json.dump(answers, sys.stdout)
"""


def on_windows(commands: Sequence[Sequence[str]], folder: Path) -> list[tuple[int, str, str]]:
    """(exit status, stdout, stderr) of each command, all run in one process that stands in the folder."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE))),
        "SANITIZE_CACHE_DIR": windows(folder / "of-user/cache"),
        "SANITIZE_STATE_DIR": windows(folder / "of-user/state"),
    }
    run = subprocess.run(
        (sys.executable, "-c", RUN),
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return [tuple(answer) for answer in json.loads(run.stdout)]


def windows(path: Path) -> str:
    return "C:" + str(path).replace("/", "\\")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A set with a row to clip, a row twice, a list with backslashes and a label whose name is in capitals."""
    folder = tmp_path / "Set"
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i, row in enumerate(("0 0.5 0.5 0.4 0.3", "0 0.8 0.5 0.41 0.3", "0 0.5 0.5 0.4 0.3\n" * 2)):
            (folder / f"images/{split}/{split}{i}.png").write_bytes(
                image_bytes(f"64x48 seed={i}{len(split)}", "a.png")
            )
            (folder / f"labels/{split}/{split}{i}.txt").write_text(f"{row}\n")
    (folder / "labels/train/train0.txt").rename(folder / "labels/train/TRAIN0.TXT")
    (folder / "val.txt").write_text("".join(f".\\images\\val\\val{i}.png\n" for i in range(3)))
    (folder / "data.yaml").write_text(
        f"path: {windows(folder)}\ntrain: images\\train\nval: val.txt\nnames: [a]\n"
    )
    return folder


def found(stdout: str) -> list[tuple[str, str, int | None]]:
    return [(f["rule"], f["label"] or f["image"], f["line"]) for f in json.loads(stdout)["findings"]]


EXPECTED = [
    ("B004", "labels/train/train1.txt", 1),
    ("B007", "labels/train/train2.txt", 2),
    ("B004", "labels/val/val1.txt", 1),
    ("B007", "labels/val/val2.txt", 2),
]


def test_a_set_is_scanned_known_repaired_and_taken_back(dataset: Path, tmp_path: Path) -> None:
    """From data.yaml with a drive letter to a journal: every path that a report holds has /, and leads somewhere."""
    data, before = windows(dataset / "data.yaml"), content_of(dataset)
    scan = ("scan", data, "--format", "json", "--select", "B,C,D,L,I")
    known = windows(tmp_path / "known.json")
    (tmp_path / "own.yaml").write_text("per-path-ignores: {'labels\\val\\*': [B]}\n")
    results = on_windows(
        [
            scan,
            (*scan, "--jobs", "1", "--output", windows(tmp_path / "found.csv")),
            (*scan, "--write-baseline", known),
            (*scan, "--baseline", known),
            (*scan, "--config", windows(tmp_path / "own.yaml")),
            ("scan", "Set\\labels\\val\\val1.txt", "--format", "json"),
            ("fix", data),
            (*scan, "--select", "B007"),
            ("undo", data),
        ],
        tmp_path,
    )
    (status, report, err), again, _, baselined, ignored, hook, fixed, rescan, undone = results
    assert found(report) == EXPECTED, err
    assert status == 0
    assert found(again[1]) == EXPECTED
    assert "labels/train/train1.txt" in (tmp_path / "found.csv").read_text("utf-8-sig")
    assert found(baselined[1]) == []
    assert found(ignored[1]) == EXPECTED[:2]
    assert [f for f in found(hook[1]) if f[0] == "B004"] == [("B004", "labels/val/val1.txt", 1)]
    assert fixed[0] == 0, fixed
    assert found(rescan[1]) == []
    assert undone[0] == 0, undone
    assert content_of(dataset) == before


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".sanitize" not in p.parts
    }


def test_a_view_holds_copies_and_says_when_its_path_is_too_long(dataset: Path, tmp_path: Path) -> None:
    """Without the right to make links, images are linked hard or copied."""
    data = windows(dataset / "data.yaml")
    deep = tmp_path / ("d" * (210 - len(str(tmp_path))))
    deep.mkdir()
    made, refused, held, page = on_windows(
        [
            ("fix", data, "--view", windows(tmp_path / "view")),
            ("fix", data, "--view", windows(deep / "a-view-with-a-long-name")),
            ("hold", windows(dataset / "labels/val/val2.txt")),
            ("fix", data),
            ("scan", data, "--output", windows(tmp_path / "page.html"), "--format", "concise"),
        ],
        tmp_path,
    )
    assert made[0] == 0, made
    assert (tmp_path / "view/train.txt").read_text().splitlines() == [
        f"./images/train/train{i}.png" for i in range(3)
    ]
    assert (tmp_path / "view/labels/train/train0.txt").exists()
    assert f"path: C:{tmp_path}/view\n" in (tmp_path / "view/data.yaml").read_text()
    assert refused[0] == 2
    assert "Windows takes 259 (247 of a folder) unless long paths are switched on" in refused[2]
    assert "Traceback" not in refused[2]
    assert not any(deep.iterdir())
    assert held[0] == 2, held
    assert "val2.txt: it is open in another program" in held[2]
    assert page[0] == 0, page
    assert '"Set/images' not in (tmp_path / "page.html").read_text("utf-8")


# --- the functions by themselves, which ask os for its rules ---


@pytest.fixture
def rules_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    import ntpath

    monkeypatch.setattr(os, "sep", "\\")
    for name in ("abspath", "normpath", "join", "relpath", "commonpath", "isabs", "splitdrive"):
        monkeypatch.setattr(os.path, name, getattr(ntpath, name))


@pytest.mark.usefixtures("rules_of_windows")
def test_paths_have_slashes_whatever_they_were_written_with() -> None:
    assert paths.absolute_path("D:\\set\\.\\images") == "D:/set/images"
    assert paths.join_path("C:/set", "images\\train", "a.jpg") == "C:/set/images/train/a.jpg"
    assert paths.join_path("C:/set", "D:\\other") == "D:/other"
    assert paths.normal_path("\\\\server\\share\\set\\..\\x") == "//server/share/x"
    assert paths.common_path(["C:\\set\\a", "c:/set/b"]).lower() == "c:/set"
    assert paths.relative_to("C:/set/labels/a.txt", "C:\\set") == "labels/a.txt"
    assert paths.relative_to("D:/labels/a.txt", "C:/set") == "D:/labels/a.txt"
    assert paths.posix("\\\\?\\C:\\set") == "C:/set"
    assert paths.posix("\\\\?\\UNC\\server\\set") == "//server/set"
    assert paths.is_absolute("C:\\set")
    assert paths.is_absolute("/bucket/set")
    assert not paths.is_absolute("set\\images")


@pytest.mark.usefixtures("rules_of_windows")
def test_images_come_in_the_order_of_training() -> None:
    """Which sorts paths with the separator of the system: it comes before 0 as a slash, and after it as a backslash."""
    from sanitizer.dataset.split_images import ImageCollector

    collector = ImageCollector()
    for folder in ("C:/set/images/a", "C:/set/images/a0"):
        collector.add(folder, folder, ["x.png"])
    found = collector.finish()
    assert [found.folders[i] for i in found.folder_index] == ["C:/set/images/a0", "C:/set/images/a"]


@pytest.mark.usefixtures("rules_of_windows")
@pytest.mark.parametrize(
    ("root", "uri"),
    [("C:/my set", "file:///C:/my%20set/"), ("//server/share/set", "file://server/share/set/")],
)
def test_code_hosts_are_told_a_root_with_its_drive_or_server(root: str, uri: str) -> None:
    from sanitizer.findings.report import Report, Summary
    from sanitizer.reports.formats import render

    report = Report(root, root, "detect", Summary(0, 0, 0, 0, 0, 0, (), 0.0), [])
    run = json.loads(render(report, "sarif"))["runs"][0]
    assert [base["uri"] for base in run["originalUriBaseIds"].values()] == [uri]


@pytest.mark.parametrize(("text", "answer"), [("s3://bucket/set", True), ("D://set", False), ("set", False)])
def test_a_drive_is_no_protocol(text: str, answer: bool) -> None:
    assert paths.is_url(text) is answer


@pytest.mark.usefixtures("rules_of_windows")
@pytest.mark.parametrize(("refusals", "comes"), [(0, True), (3, True), (99, False)])
def test_a_rename_waits_for_a_virus_scanner_and_not_for_an_editor(
    refusals: int, comes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[tuple[str, ...]] = []
    monkeypatch.setattr(atomic.time, "sleep", lambda seconds: None)

    def rename(*names: str) -> None:
        tries.append(names)
        if len(tries) <= refusals:
            raise PermissionError(13, "Permission denied")

    if comes:
        atomic.once_closed(rename, "new", "old.txt")
        assert len(tries) == refusals + 1
        return
    with pytest.raises(PermissionError, match="it is open in another program") as caught:
        atomic.once_closed(rename, "new", "old.txt")
    assert caught.value.filename == "old.txt"
    assert len(tries) < 10


def test_elsewhere_a_refused_rename_is_an_error_at_once() -> None:
    tries = 0

    def rename(*names: str) -> None:
        nonlocal tries
        tries += 1
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError, match="Permission denied"):
        atomic.once_closed(rename, "new", "old.txt")
    assert tries == 1


ROOMS = (
    "archives",
    "dataset",
    "diagnosis",
    "fixes",
    "labels",
    "images",
    "reports",
    "rules/checks",
    "storage",
    "view",
)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_that_handle_paths_of_a_dataset_leave_separators_to_one_module(room: str) -> None:
    asks_os = re.compile(r"os\.path\.(abspath|realpath|normpath|join|relpath|commonpath|isabs)\b|os\.sep\b")
    for module in (HERE.parent / "sanitizer" / room).rglob("*.py"):
        assert not asks_os.search(module.read_text("utf-8")), (
            f"{module}: sanitizer/util/paths.py has a function"
        )


# --- disks where the case of letters does not count, as those of macOS ---


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the disk take names for one that differ in case or in the way an accent is written."""
    from unicodedata import normalize

    from sanitizer.storage.base import LocalStorage

    real = os.path.lexists

    def lexists(path: str) -> bool:
        def plain(name: str) -> str:
            return normalize("NFC", name).casefold()

        folder, name = os.path.split(path)
        return real(path) or (
            os.path.isdir(folder) and plain(name) in {plain(other) for other in os.listdir(folder)}
        )

    return lambda: monkeypatch.setattr(LocalStorage, "lexists", staticmethod(lexists))


@pytest.mark.parametrize("label", ["a.TXT", "A.txt", "É.txt", "E\u0301.TXT"])
def test_a_label_is_found_by_another_spelling_where_the_disk_finds_it(
    tmp_path: Path, folded: Callable[[], None], label: str
) -> None:
    from sanitizer import scan

    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    stem = "a" if label[0] in "aA" else "é"
    (tmp_path / f"images/{stem}.png").write_bytes(image_bytes("64x48", "a.png"))
    (tmp_path / "labels" / label).write_text("0 0.5 0.5 0.4 0.3\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")

    def rules() -> set[str]:
        return {f.rule for f in scan(tmp_path, cache=False, images="none").findings}

    assert rules() & {"D006", "D007", "L009"}
    folded()
    assert not rules() & {"D006", "D007", "L009"}
