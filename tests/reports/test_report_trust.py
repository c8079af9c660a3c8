"""`sanitize report` on a report from a stranger: it reads the dataset alone, and refuses in one sentence."""

from __future__ import annotations

import copy
import json
import os
import random
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from annotation_samples import make
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured import MOST_MB, run_measured
from PIL import Image
from report_samples import flawed

from sanitizer.cli import main
from sanitizer.reports.formats import render, write
from sanitizer.reports.saved import MAX_CHARACTERS, SavedReportError, parse_report, read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "0 0.5 0.5 0.25 0.5 # s3cret"
RED = (255, 0, 0)


class Stranger:
    """A dataset at `set/`, a private folder beside it, and a report that can be changed before it is saved."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.set = folder, folder / "set"
        self.content: dict[str, Any] = json.loads(render(make(self.set, "detect"), "json"))
        private = folder / "private"
        private.mkdir()
        Image.new("RGB", (150, 130), RED).save(private / "x.jpg")
        (private / "x.txt").write_text(f"{SECRET}\n")

    def flag(self, image: str | None = None, label: str | None = None) -> None:
        """Let the first finding be about this image or label."""
        self.content["findings"] = self.content["findings"][:3]
        first = self.content["findings"][0]
        first.update(
            {name: value for name, value in (("image", image), ("label", label)) if value is not None},
            line=1, file=None, x_center=None,
        )  # fmt: skip

    def report(self, *options: str) -> int:
        path = self.folder / "findings.json"
        path.write_text(json.dumps(self.content))
        return main(["report", str(path), *options])

    def page(self, *options: str) -> str:
        """The page's text, after the report was turned into one."""
        assert self.report("--html", str(self.folder / "page"), *options) == 0
        return (self.folder / "page/index.html").read_text(encoding="utf-8")

    def crops(self) -> list[Path]:
        return sorted(self.folder.glob("page/crops/run-*/*.jpg"))


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


def is_red(path: Path) -> bool:
    with Image.open(path) as image:
        r, g, b = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return bool(r > 200 and g < 50 and b < 50)


def beside(stranger: Stranger) -> str:
    return "../private/x.jpg"


def absolute(stranger: Stranger) -> str:
    return str(stranger.folder / "private/x.jpg")


def linked_file(stranger: Stranger) -> str:
    (stranger.set / "images/l.jpg").symlink_to(stranger.folder / "private/x.jpg")
    return "images/l.jpg"


def linked_folder(stranger: Stranger) -> str:
    (stranger.set / "more").symlink_to(stranger.folder / "private")
    return "more/x.jpg"


def link_and_back(stranger: Stranger) -> str:
    (stranger.folder / "private/deep").mkdir()
    (stranger.set / "out").symlink_to(stranger.folder / "private/deep")
    return "out/../x.jpg"


WAYS_OUT = [beside, absolute, linked_file, linked_folder]


@pytest.mark.parametrize("way_out", [*WAYS_OUT, link_and_back])
def test_an_image_outside_the_dataset_is_left_out_and_named(
    way_out: Callable[[Stranger], str], stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    image = way_out(stranger)
    stranger.flag(image=image)
    page = stranger.page()
    assert not any(map(is_red, stranger.crops()))
    assert len(stranger.crops()) > 0
    if way_out is not link_and_back:  # which is `x.jpg` of the dataset, once it is tidied up
        assert "(--allow-outside takes" in capsys.readouterr().err
        assert page.count("--allow-outside") >= 2  # the card, and the notes
    archive, tasks = stranger.folder / "c.zip", stranger.folder / "t.json"
    assert stranger.report("--cvat", str(archive), "--label-studio", str(tasks)) == 0
    assert f"left out: {image}: " in capsys.readouterr().err
    private = (stranger.folder / "private/x.jpg").read_bytes()
    with zipfile.ZipFile(archive) as z:
        assert all(z.read(name) != private for name in z.namelist())
    assert "x.jpg" not in tasks.read_text()


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_it_is_taken_in_where_a_person_allows_that(
    way_out: Callable[[Stranger], str], stranger: Stranger
) -> None:
    stranger.flag(image=way_out(stranger))
    stranger.page("--allow-outside")
    assert any(map(is_red, stranger.crops()))
    archive = stranger.folder / "c.zip"
    assert stranger.report("--cvat", str(archive), "--allow-outside") == 0
    private = (stranger.folder / "private/x.jpg").read_bytes()
    with zipfile.ZipFile(archive) as z:
        assert any(z.read(name) == private for name in z.namelist())


@pytest.mark.parametrize(
    "label", ["../private/x.txt", "{folder}/private/x.txt", "labels/l.txt", "more/x.txt"]
)
def test_a_label_outside_the_dataset_is_not_quoted_and_named(
    label: str, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    (stranger.set / "labels/l.txt").symlink_to(stranger.folder / "private/x.txt")
    (stranger.set / "more").symlink_to(stranger.folder / "private")
    label = label.format(folder=stranger.folder)
    stranger.flag(label=label)
    page = stranger.page()
    assert "s3cret" not in page
    assert label in capsys.readouterr().err
    tasks = stranger.folder / "t.json"
    assert stranger.report("--label-studio", str(tasks)) == 0
    assert f"left out: {label}, the label of " in capsys.readouterr().err
    assert "s3cret" in stranger.page("--allow-outside")


@pytest.mark.parametrize("name", [".env", "data.yaml", "id_rsa", "labels/x.TXT.bak"])
def test_a_file_of_the_dataset_that_is_no_label_is_not_quoted(name: str, stranger: Stranger) -> None:
    with open(stranger.set / name, "a", encoding="utf-8") as file:
        file.write("\nKEY=s3cret\n")
    stranger.flag(label=name)
    for line in range(1, 12):
        stranger.content["findings"][0]["line"] = line
        assert "s3cret" not in stranger.page()


def test_pictures_of_a_probe_stay_in_the_dataset_too(stranger: Stranger) -> None:
    image = {"image": "../private/x.jpg", "label": "../private/x.txt", "score_combined": 9.0, "norm_z": 9.0}
    stranger.content["probe"] = {"images": [image], "steps": [{"step": 1, "images": ["../private/x.jpg"]}]}
    assert "s3cret" not in stranger.page()
    assert not any(map(is_red, stranger.crops()))
    stranger.page("--allow-outside")
    assert any(map(is_red, stranger.crops()))


def test_a_data_yaml_that_leads_elsewhere_is_not_counted(
    stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    (stranger.folder / "private/images").mkdir()
    Image.new("RGB", (99, 99)).save(stranger.folder / "private/images/a.jpg")
    yaml = stranger.set / "data.yaml"
    yaml.write_text(yaml.read_text().replace("val: images", "val: ../private/images"))
    stranger.page()
    assert "some of its images or labels lie outside" in capsys.readouterr().err


# Where the dataset is: the report's own word counts only where a dataset lies


def names_the_whole_disk(stranger: Stranger) -> str:
    return "/"


def names_a_private_folder(stranger: Stranger) -> str:
    return str(stranger.folder / "private")


def names_a_project(stranger: Stranger) -> str:
    (stranger.folder / "private/data.yaml").write_text("services:\n  web: {image: nginx}\n")
    return str(stranger.folder / "private")


def names_a_pipe(stranger: Stranger) -> str:
    os.mkfifo(stranger.folder / "private/data.yaml")
    return str(stranger.folder / "private")


@pytest.mark.parametrize(
    "root", [names_the_whole_disk, names_a_private_folder, names_a_project, names_a_pipe]
)
def test_a_root_without_the_dataset_is_not_believed(
    root: Callable[[Stranger], str], stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger.content["root"] = root(stranger)
    image = os.path.relpath(stranger.folder / "private/x.jpg", stranger.content["root"])
    stranger.flag(image=image, label=image.replace(".jpg", ".txt"))
    page = stranger.page()
    assert "s3cret" not in page
    assert stranger.crops() == []
    said = capsys.readouterr().err
    assert f"--root {stranger.content['root']} confirms it" in said
    archive = stranger.folder / "c.zip"
    assert stranger.report("--cvat", str(archive)) == 2
    assert f"--root {stranger.content['root']} confirms it" in capsys.readouterr().err
    assert not archive.exists()


def test_a_person_confirms_a_root(stranger: Stranger) -> None:
    private = str(stranger.folder / "private")
    stranger.content["root"] = private
    stranger.flag(image="x.jpg", label="x.txt")
    assert "s3cret" in stranger.page("--root", private)
    assert any(map(is_red, stranger.crops()))


@pytest.mark.parametrize("data", ["set", "/somewhere/else/data.yaml", "labels/a.txt labels/b.txt"])
def test_a_root_with_a_data_yaml_needs_no_word(data: str, stranger: Stranger) -> None:
    stranger.content["data"] = data
    stranger.page()
    assert stranger.crops()


def test_a_root_behind_a_protocol_leads_nowhere_on_this_disk(stranger: Stranger) -> None:
    stranger.content["root"] = "s3://bucket/set"
    stranger.flag(image=str(stranger.folder / "private/x.jpg"), label=str(stranger.folder / "private/x.txt"))
    assert "s3cret" not in stranger.page()
    assert stranger.crops() == []
    assert stranger.report("--cvat", str(stranger.folder / "c.zip")) == 2


# Special files


def test_pipes_in_place_of_files_are_not_waited_for(
    stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images/zwölf.jpg", "labels/a & <b>.txt"):
        (stranger.set / name).unlink()
        os.mkfifo(stranger.set / name)
    stranger.page()
    archive = stranger.folder / "c.zip"
    assert stranger.report("--cvat", str(archive), "--label-studio", str(stranger.folder / "t.json")) == 0
    pipe = stranger.folder / "pipe.json"
    os.mkfifo(pipe)
    capsys.readouterr()
    assert main(["report", str(pipe), "--csv", str(stranger.folder / "f.csv")]) == 2
    assert capsys.readouterr().err == f"sanitize report: {pipe}: no regular file\n"


def test_a_marker_that_links_elsewhere_makes_no_folder_ours(
    stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = stranger.folder / "private/x.txt"
    (stranger.folder / "page/crops").mkdir(parents=True)
    (stranger.folder / "page/crops/made-by-sanitize.txt").symlink_to(victim)
    assert stranger.report("--html", str(stranger.folder / "page")) == 2
    assert "is a folder with other files" in capsys.readouterr().err
    assert victim.read_text() == f"{SECRET}\n"


def test_an_image_too_large_to_copy_is_left_out(
    stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(stranger.set / "images/zwölf.jpg", 1 << 40)  # sparse
    archive = stranger.folder / "c.zip"
    assert stranger.report("--cvat", str(archive)) == 0
    assert "images/zwölf.jpg: has 1.049e+06 MB, and no image over 512 MB is copied" in capsys.readouterr().err


# Whatever the file holds

GOOD: dict[str, Any] = json.loads(render(flawed(), "json"))


def changed(**values: Any) -> str:
    content = copy.deepcopy(GOOD)
    for path, value in values.items():
        place: Any = content
        *keys, last = path.split("__")
        for key in keys:
            place = place[int(key) if key.isdigit() else key]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(content)


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (changed(findings__0__message=7), "finding 1: 'message' is 7, no text"),
        (changed(findings__0__fingerprint=7), "finding 1: 'fingerprint' is 7, no text"),
        (changed(findings__0__line="7"), "finding 1: 'line' is '7', no whole number"),
        (changed(findings__0__line=2**63), "finding 1: 'line' is 9223372036854775808, too large a number"),
        (changed(findings__0__class_id=10**400), "finding 1: 'class_id' is 1000000000000000000000000000000000000…,"),
        (changed(findings__0__width="0.5"), "finding 1: 'width' is '0.5', no number"),
        (changed(findings__0__message="x" * (MAX_CHARACTERS + 1)), "finding 1: 'message' has 8,193 characters"),
        (changed(findings__0__rule="x" * 201), "finding 1: 'rule' has 201 characters"),
        (changed(findings__0=[]), "finding 1 is a list, no object"),
        (changed(findings={}), "'findings' is an object, no list"),
        (changed(findings=None), "'findings' is missing, no list"),
        (changed(dropped="x"), "'dropped' is 'x', no list"),
        (changed(dropped=["x", 1]), "'dropped' holds something that is no text"),
        (changed(summary__images=2**63), "'images' of the summary is 9223372036854775808, no count"),
        (changed(unread=-1), "'unread' is -1, no count"),
        (changed(names={"1" * 400: "x"}), "'names' holds "),
        (changed(class_counts={"1": 2**70}), "'class_counts' holds 1: 1180591620717411303424, too large"),
        (changed().replace('"task": "detect"', '"task": "detect", "task": "pose"'), "'task' stands there twice"),
        (changed().replace('"line": 3', '"line": 3, "line": 4'), "'line' stands there twice"),
        (changed(probe=nested(60)), "nested more than 50 levels deep"),
        (changed(probe=7).replace('"probe": 7', '"probe": ' + "[" * 90_000), "nested more than 50 levels deep"),
        (changed().replace('"line": 3', '"line": NaN'), "NaN is not JSON"),
        (changed().replace('"line": 3', '"line": -Infinity'), "-Infinity is not JSON"),
        (changed().replace('"line": 3', '"line": ' + "9" * 5000), "no valid JSON"),
        (changed() + "x", "something follows the end"),
        (changed().replace("[", "[,", 1), "no valid JSON"),
        (json.dumps({f"k{i}": 1 for i in range(1000)}), "has over 100 keys"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence_that_names_the_file(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    assert main(["report", str(path), "--csv", str(tmp_path / "f.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sanitize report: {path}: ")
    assert problem in line
    assert len(line) < 400


def test_numbers_that_no_float_holds_and_halves_of_characters_are_read() -> None:
    text = changed(findings__0__message="a\ud800b").replace('"width": null', '"width": 1e999', 1)
    first = parse_report(text).findings[0]
    assert first.width is None
    for format_name in ("json", "csv", "sarif", "junit", "github", "gitlab", "text", "jsonl"):
        assert "ud800b" in render(parse_report(text), format_name)


def test_an_incomplete_scan_stays_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = parse_report(changed(unread=3))
    assert report.unread == 3
    assert json.loads(render(report, "json"))["unread"] == 3
    path = tmp_path / "f.json"
    path.write_text(changed(unread=3))
    assert main(["report", str(path), "--csv", str(tmp_path / "f.csv")]) == 0
    assert "the scan could not read 3 files: this report is not whole" in capsys.readouterr().err


def test_very_many_findings_are_read_back_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    from small_limits import small_limits

    path = tmp_path / "f.json"
    many = {**GOOD, "findings": [f for f in GOOD["findings"] for _ in range(40)]}
    path.write_text(json.dumps(many))
    whole = read_report(str(path))
    monkeypatch.setattr("sanitizer.reports.saved.FINDINGS_HELD", 7)
    with small_limits():
        spilled = read_report(str(path))
        assert not isinstance(spilled.findings, list)
        assert list(spilled.findings) == whole.findings
        assert spilled.count() == whole.count()
        assert render(spilled, "json") == render(whole, "json")


# Any text at all

ODD: list[Any] = [
    None, True, False, -1, 0, 1.5, 10**30, 2**63, -(2**63), 1e308, -1e308, 5e-324, 10**400, "", "x", "../../x",
    "/etc/passwd", "/", "\x00", "a\x00b", "\ud800", "\udcff", "\u202e", "=1+1", "\x1b[31m", "x" * 300, "x" * 9000,
    "a/" * 300, [], {}, [None], [[]], {"x": 1}, "NaN", ".", "..", "s3://x/y", "file:///etc/passwd", "%00", "]]>",
]  # fmt: skip


def places(value: Any, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a value, by the keys that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [so_far, *(place for key, item in inner for place in places(item, (*so_far, key)))]


def alike(value: Any) -> list[Any]:
    """Odd values that the reader takes in the place of this one, as it is of their kind."""
    kind = (int, float) if isinstance(value, int | float) else str if value is None else type(value)
    found = [odd for odd in ODD if isinstance(odd, kind) and not isinstance(odd, bool)]
    return [*found, None] if value is None else found


def mutated(content: dict[str, Any], rng: random.Random) -> str:
    """The report with one to four odd values, keys that are gone, or text that is cut or changed."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 4)):
        *keys, last = rng.choice(places(content)[1:])
        place: Any = content
        for key in keys:
            place = place[key]
        if rng.random() < 0.15:
            del place[last]
        else:
            place[last] = rng.choice(alike(place[last]) if rng.random() < 0.8 else ODD)
    text = json.dumps(content)
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = (
            text[:at]
            + rng.choice(["", "\x00", '"', "[", "}", "1e999", "NaN", "\\ud800"])
            + text[at + rng.randint(0, 3) :]
        )
    return text


OUTPUTS = (
    ("--html", "page"), ("--csv", "f.csv"), ("--cvat", "c.zip"), ("--cvat", "c.xml"), ("--label-studio", "t.json"),
)  # fmt: skip


def attack(content: dict[str, Any], seed: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mutated report through every output: written, or refused in one sentence that is no defect of ours."""
    rng = random.Random(seed)
    path = folder / "findings.json"
    path.write_text(mutated(content, rng))
    for option, name in OUTPUTS:
        status = main(
            [
                "report",
                str(path),
                option,
                str(folder / name),
                *rng.choice([[], ["--root", str(folder / "set")]]),
            ]
        )
        said = capsys.readouterr().err
        assert status in (0, 2), said
        assert "defect" not in said, said
        assert "Traceback" not in said
        assert "s3cret" not in said
        if status == 2:
            assert said.count("\n") == 1 or option in ("--cvat", "--label-studio")
    try:
        report = read_report(str(path))
    except SavedReportError:
        return
    for format_name in ("sarif", "junit", "github", "gitlab", "text", "jsonl", "json"):
        render(report, format_name).encode()
    write(report, str(folder / "f.parquet"))
    report.to_frame()


@settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_any_report_is_written_or_refused_in_a_sentence(
    seed: int, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    attack(stranger.content, seed, stranger.folder, capsys)


# However large it is

_REPORT = "import sys; from sanitizer.cli import main; print(main(sys.argv[1:]))"
LEAST = '{"rule": "a", "name": "a", "message": "a", "severity": "info", "image": "images/%d.jpg"}'
LONG = "😀" + "x" * 8000
TEXTS = ("message", "image", "label", "file", "suggestion", "class_name", "split", "fingerprint")
FULL = json.dumps(dict.fromkeys(TEXTS, LONG) | {"rule": "a", "name": "a", "severity": "info"})


@pytest.mark.slow
@pytest.mark.parametrize("output", [("--html", "page"), ("--cvat", "c.zip"), ("--csv", "f.csv")], ids="".join)
@pytest.mark.parametrize(
    ("key", "items"),
    [
        pytest.param("findings", lambda: (LEAST % i for i in range(110_000)), id="many findings"),
        pytest.param("findings", lambda: (FULL for _ in range(3000)), id="long findings"),
        pytest.param("dropped", lambda: (f'"{i}"' for i in range(1_000_000)), id="many names"),
        pytest.param("notes", lambda: (f'"{i}"' for i in range(1_000_000)), id="many notes"),
        pytest.param("probe", lambda: ("[]" for _ in range(10_000_000)), id="many lists"),
    ],
)
def test_memory_stays_under_a_gibibyte(
    key: str, items: Callable[[], Iterator[str]], output: tuple[str, str], stranger: Stranger
) -> None:
    pytest.importorskip("pyarrow")
    stranger.content[key] = "HERE"
    head, tail = json.dumps(stranger.content).split('"HERE"')
    path = stranger.folder / "findings.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}[")
        for i, item in enumerate(items()):
            file.write(f"{',' if i else ''}{item}")
        file.write(f"]{tail}")
    option, name = output
    run = run_measured(_REPORT, "report", path, option, stranger.folder / name, "--quiet", timeout_s=300)
    assert run.stdout.split()[-1] in ("0", "2"), run.stderr
    assert run.peak_mb < MOST_MB
