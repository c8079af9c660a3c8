"""`ul://user/datasets/name`: Ultralytics' own function is asked, and only for what a person names."""

from __future__ import annotations

import inspect
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from example_files import image_bytes

from sanitizer import scan
from sanitizer.cli import main
from sanitizer.ultra.adapter import platform

if TYPE_CHECKING:
    from pathlib import Path

URI = "ul://me/datasets/ships"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the platform answers, by URI: an address, or an error. `asked` lists the URIs."""
    known: dict[str, object] = {"asked": []}

    def resolve_platform_uri(uri: str, hard: bool = True) -> object:
        print("New settings were made")  # as Ultralytics does when it is loaded first
        known["asked"].append(uri)  # type: ignore[attr-defined]
        answer = known[uri]
        if isinstance(answer, Exception):
            raise answer
        return answer

    checks = SimpleNamespace(resolve_platform_uri=resolve_platform_uri)
    monkeypatch.setitem(sys.modules, "ultralytics.utils.checks", checks)
    monkeypatch.setattr(platform, "installed_version", lambda: "8.4.190")
    return known


def ndjson(folder: Path) -> Path:
    """An NDJSON of one image with a box that leaves it."""
    (folder / "images/train").mkdir(parents=True)
    (folder / "images/train/a.png").write_bytes(image_bytes("64x48 seed=1", "a.png"))
    header = {"type": "dataset", "task": "detect", "path": folder.name, "class_names": {"0": "ship"}}
    record = {
        "type": "image", "file": "a.png", "split": "train", "width": 64, "height": 48,
        "annotations": {"boxes": [[0, 0.5, 0.5, 1.4, 0.4]]},
    }  # fmt: skip
    path = folder / "set.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, record)))
    return path


@pytest.mark.parametrize(
    "named", [URI, "UL://me/datasets/ships/", "https://platform.ultralytics.com/me/datasets/ships"]
)
def test_a_dataset_of_the_platform_is_scanned(
    named: str,
    answers: dict[str, object],
    tmp_path: Path,
    web_server: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("fsspec", reason="needs the remote extra")
    local = scan(ndjson(tmp_path / "set"))
    answers[URI] = f"http://{web_server}/set/set.ndjson?signature=planted"
    assert main(["scan", named, "--format", "json"]) == 1
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert answers["asked"] == [URI]
    assert [f["rule"] for f in report["findings"]] == [f.rule for f in local.findings]
    assert "planted" not in told.out + told.err
    assert [f.rule for f in scan(URI).findings] == [f.rule for f in local.findings]


@pytest.mark.parametrize(
    ("uri", "answer", "words"),
    [
        (URI, ValueError(f"ULTRALYTICS_API_KEY required for '{URI}'. Get a key at x/settings"), "Get a key"),
        (URI, PermissionError("Access denied\nand more"), f"{URI}: Access denied"),
        (URI, None, "handed out no address of an NDJSON"),
        (URI, "file:///etc/passwd", "handed out no address of an NDJSON"),
        (URI, "https://x/last.pt", "handed out no address of an NDJSON"),
        ("ul://me/project/last", None, "names no dataset: write ul://user/datasets/name"),
        ("ul://", None, "names no dataset"),
    ],
)
def test_what_it_does_not_hand_out_is_one_sentence(
    uri: str, answer: object, words: str, answers: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    answers[uri] = answer
    assert main(["scan", uri]) == 2
    error = capsys.readouterr().err.replace("New settings were made\n", "")
    assert error.count("\n") == 1 and words in error


def test_nothing_is_asked_for_what_a_file_names(
    answers: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yaml = tmp_path / "data.yaml"
    yaml.write_text(f"path: {URI}\ntrain: {URI}\nval: {URI}\nnames: [ship]\ndownload: {URI}\n")
    assert main(["scan", str(yaml)]) in (1, 2)
    ndjson(tmp_path / "set")
    assert main(["scan", str(tmp_path / "set/set.ndjson"), "--output", str(tmp_path / "report.json")]) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    (tmp_path / "report.json").write_text(json.dumps(report).replace(report["data"], URI))
    main(
        ["report", str(tmp_path / "report.json"), "--format", "html", "--output", str(tmp_path / "page.html")]
    )
    for command in ("fix", "undo"):
        assert main([command, URI]) == 2
    capsys.readouterr()
    assert main(["scan", URI, "--watch"]) == 2
    assert "this dataset is behind a URL" in capsys.readouterr().err
    assert answers["asked"] == []


@pytest.mark.ultralytics
def test_the_real_function_takes_a_uri_and_wants_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultralytics.utils import SETTINGS, checks

    uri, *others = inspect.signature(checks.resolve_platform_uri).parameters.values()
    assert uri.name == "uri"
    assert all(p.default is not inspect.Parameter.empty for p in others)
    monkeypatch.delenv("ULTRALYTICS_API_KEY", raising=False)
    monkeypatch.setitem(SETTINGS, "api_key", "")
    assert main(["scan", URI]) == 2
    wanted = (
        "ULTRALYTICS_API_KEY required" if sys.version_info >= (3, 11) else "requires Python 3.11 or newer"
    )
    assert wanted in capsys.readouterr().err
