"""The preflight: one verdict of scan, recipe and probe, the right three things, and the command that settles them."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.archives.finding import find_loose_dataset  # noqa: E402
from sanitizer.cli import main  # noqa: E402
from sanitizer.findings.cause import recounted  # noqa: E402
from sanitizer.findings.finding import Finding, Severity  # noqa: E402
from sanitizer.preflight import flight as preflight_module  # noqa: E402
from sanitizer.preflight.checklist import area_lines, checklist, is_go, preflight_record  # noqa: E402
from sanitizer.preflight.concerns import concerns  # noqa: E402
from sanitizer.preflight.correction import correct_recipe, spelled, train_command  # noqa: E402
from sanitizer.preflight.flight import Preflight, preflight, read_recipe  # noqa: E402
from sanitizer.preflight.rehearsal import summed_up  # noqa: E402
from sanitizer.reports.formats import render  # noqa: E402
from sanitizer.reports.saved import parse_report  # noqa: E402
from sanitizer.train.clipped_step import StepRecord  # noqa: E402
from sanitizer.ultra.arguments import parse_arguments  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from sanitizer.dataset.model import Dataset

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

MODEL = "yolov8n.yaml"
GOOD = {"imgsz": 64, "batch": 16, "device": "cpu"}
BAD = {**GOOD, "optimizer": "SGD", "lr0": 0.5, "warmup_epochs": 0, "nbs": 16}


def found(data: Path) -> Dataset:
    return find_loose_dataset([str(data)])


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set that nothing is wrong with."""
    return tiny_set(tmp_path_factory.mktemp("preflight") / "clean", train=32, val=4)


@pytest.fixture(scope="module")
def flawed(tmp_path_factory: pytest.TempPathFactory, clean: Path) -> Path:
    """The same with three training images that are dropped, one that has no label, and a near-duplicate row."""
    folder = tmp_path_factory.mktemp("preflight") / "flawed"
    shutil.copytree(clean.parent, folder)
    labels = folder / "labels" / "train"
    for i in range(3):
        labels.joinpath(f"{i}.txt").write_text(f"{5 + i} 0.5 0.5 0.2 0.2\n")
    labels.joinpath("3.txt").unlink()
    row = labels.joinpath("4.txt").read_text().split()
    labels.joinpath("4.txt").write_text(
        f"{' '.join(row)}\n{' '.join([*row[:4], str(float(row[4]) * 0.99)])}\n"
    )
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [red, green]\n")
    return folder / "data.yaml"


def fly(data: Path, overrides: dict[str, Any], **options: Any) -> Preflight:
    return preflight(str(data), MODEL, overrides, **{"budget": "2", **options})


def plain(text: str, _sgr: str) -> str:
    return text


@pytest.fixture(scope="module")
def bad_flight(flawed: Path) -> tuple[Preflight, bool]:
    """(a flight with all that can be wrong, whether the dataset stayed as it was)."""
    before = files_of(flawed.parent)
    return fly(flawed, BAD), files_of(flawed.parent) == before


def test_the_likeliest_error_stands_for_what_the_probe_found(clean: Path) -> None:
    """A large z of a right picture is no clearer than a line that is wrong with 97 %."""
    flight = fly(clean, GOOD, probing=False)
    found = [
        Finding(
            "G001", "spike-image", Severity.WARNING, "9 z", about="gradient", value=9.0, p=0.1, image="a"
        ),
        Finding(
            "G007", "merged-objects", Severity.WARNING, "two", about="gradient", value=0.97, p=0.97, line=2
        ),
        Finding(
            "G002", "spike-line", Severity.WARNING, "shifted", about="gradient", value=0.8, p=0.8, line=1
        ),
    ]
    (concern,) = concerns(replace(flight, report=replace(flight.report, findings=found)))
    assert concern.rules == ("G001", "G002", "G007")
    assert concern.what.endswith(": two")


def test_a_good_run_on_a_good_set_is_a_go(clean: Path) -> None:
    flight = fly(clean, GOOD, probing=False)
    assert is_go(flight, Severity.ERROR)
    assert [line.mark for line in area_lines(flight)] == ["✓", "✓", "✓", "✓", "–"]
    assert concerns(flight) == []
    text = checklist(flight, Severity.ERROR, plain)
    assert text.startswith("GO  ")
    assert "Nothing that matters was found." in text
    assert "train on 32 images and validate on 4" in text


def test_one_report_holds_scan_recipe_and_probe(bad_flight: Any) -> None:
    flight, untouched = bad_flight
    assert untouched, "a preflight writes nothing into the dataset"
    codes = {f.rule for f in flight.report.findings}
    assert {"C001", "D006", "B008", "T001", "T004"} <= codes
    assert flight.probed is not None
    assert len(flight.probed.measured) == 29
    assert flight.report.probe is not None
    assert all(f.fingerprint for f in flight.report.findings)
    assert len({f.fingerprint for f in flight.report.findings}) == len(flight.report.findings)


def test_the_three_things_are_recipe_dropped_images_and_empty_images(bad_flight: Any) -> None:
    flight, _ = bad_flight
    recipe, drops, third = concerns(flight)[:3]
    assert "lr0=0.5 is over 0.02" in recipe.what and "no warm-up" in recipe.what
    assert parse_arguments(recipe.settle.split()) == {"lr0": 0.02, "warmup_epochs": 3}
    assert drops.what.startswith("training drops 3 of 36 images (train 3 of 32): C001 class-out-of-range (3)")
    assert "labels/train/0.txt:1" in drops.what
    assert third.what.startswith("training reads 1 of 36 images as empty: D006 image-without-label")
    assert not any("G00" in c.what for c in (recipe, drops, third))


def test_the_checklist_fits_on_a_screen_and_says_no_go(bad_flight: Any) -> None:
    flight, _ = bad_flight
    text = checklist(flight, Severity.ERROR, plain)
    lines = text.splitlines()
    assert lines[0].startswith("NO-GO  ")
    assert len(lines) <= 40
    assert [line.split()[:2] for line in lines[2:] if line[:4].strip() in ("✓", "!", "✗")][:4] == [
        ["✗", "labels"],
        ["✓", "images"],
        ["!", "dataset"],
        ["✗", "recipe"],
    ]
    assert "lr0=0.02 warmup_epochs=3" in text
    assert lines[-1].startswith("Corrected: sanitize train ")


def test_a_risky_recipe_is_rehearsed_and_a_safe_one_is_not(bad_flight: Any, clean: Path) -> None:
    flight, _ = bad_flight
    assert flight.rehearsal is not None
    assert flight.rehearsal.steps >= 3
    assert 1 <= flight.rehearsal.clipped <= flight.rehearsal.steps, "norms of a fresh model are far over 10"
    assert "rehearsed at 64 px: in " in concerns(flight)[0].what
    assert fly(clean, GOOD, budget="1").rehearsal is None


def test_the_model_is_the_same_after_a_rehearsal(flawed: Path) -> None:
    recipe, network, samples, spec = read_recipe(found(flawed), MODEL, BAD, keep_samples=True)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    run = preflight_module._Run(recipe, network, spec, preflight_module.parse_budget("4s"), 0.0)
    run.rehearse(samples)
    assert run.rehearsal is not None and run.rehearsal.steps
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_arguments_of_a_cfg_file_are_judged_and_rehearsed(clean: Path, tmp_path: Path) -> None:
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text("optimizer: SGD\nlr0: 0.5\nnbs: 16\nmosaic: 1.0\n")
    recipe, network, _, spec = read_recipe(found(clean), MODEL, {"cfg": str(recipe_file), "imgsz": 64})
    assert "T001" in {f.rule for f in recipe.findings()}
    run = preflight_module._Run(recipe, network, spec, preflight_module.parse_budget("4s"), 0.0)
    assert run._asked() == {"optimizer": "SGD", "lr0": 0.5, "nbs": 16, "imgsz": 64}
    arguments = run._rehearsal_arguments(torch.device("cpu"))
    assert arguments["lr0"] == 0.5 and "cfg" not in arguments


def test_a_set_without_a_good_training_image_is_not_probed(clean: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(clean.parent, folder)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [red, green]\n")
    for label in (folder / "labels" / "train").iterdir():
        label.write_text("9 0.5 0.5 0.1 0.1\n")
    flight = fly(folder / "data.yaml", GOOD)
    assert flight.probed is None and not is_go(flight, Severity.ERROR)
    gradients = area_lines(flight)[-1]
    assert gradients.mark == "–"
    assert gradients.text == "not probed: training would keep no image of the train split"


def test_the_verdict_is_in_the_json_report_and_survives_being_saved(bad_flight: Any) -> None:
    flight, _ = bad_flight
    from dataclasses import replace

    record = preflight_record(flight, Severity.ERROR)
    report = replace(flight.report, preflight=record)
    saved = json.loads(render(report, "json"))["preflight"]
    assert saved["go"] is False
    assert saved["areas"]["recipe"]["mark"] == "error"
    assert saved["concerns"][0]["settle"] == "lr0=0.02 warmup_epochs=3"
    assert saved["corrected"]["lr0"] == 0.02
    assert shlex.split(saved["command"])[:2] == ["sanitize", "train"]
    assert parse_report(render(report, "json")).preflight == saved


def test_a_cause_is_one_concern_with_its_way_out(tmp_path: Path) -> None:
    data = tiny_set(tmp_path / "percent", train=8, val=4)
    for label in (data.parent / "labels").rglob("*.txt"):
        rows = [row.split() for row in label.read_text("utf-8").splitlines()]
        percent = [" ".join([cls, *(f"{100 * float(n):.4f}" for n in numbers)]) for cls, *numbers in rows]
        label.write_text("\n".join(percent) + "\n", "utf-8")
    flight = preflight(str(data), MODEL, GOOD, probing=False)
    (cause,) = flight.report.causes
    first = concerns(flight)[0]
    assert first.what.startswith(cause.sentence) and first.settle == cause.way_out
    assert (first.severity, first.rules) == (Severity.ERROR, ("B011",))
    assert preflight_record(flight, None)["concerns"][0]["rules"] == ["B011"]
    known = replace(flight.report, findings=flight.report.findings[:1])
    assert recounted(known.causes, known.findings)[0].explains == 1


def test_a_rehearsal_is_summed_up_in_plain_words() -> None:
    def record(step: int, loss: float, norm: float) -> StepRecord:
        bad = not math.isfinite(norm)
        return StepRecord(
            step, 0, loss, {"box": loss, "cls": 1.0}, norm, 10.0, 0.0 if bad else 0.5, 0.1, None, bad, ()
        )

    fine = summed_up([record(0, 4, 20), record(1, 6, 30), record(2, 8, 40)], 256)
    assert fine.sentence == (
        "rehearsed at 256 px: in 3 steps the loss of an image went from 5 to 9, and 3 of them were clipped"
    )
    assert fine.median_norm == 30
    broken = summed_up([record(0, 4, 20), record(1, math.nan, math.nan)], 256)
    assert broken.sentence == "rehearsed at 256 px: 1 of the first 2 steps had a gradient that is not finite"
    assert summed_up([record(0, 4, 20)], 256).sentence == ""
    assert summed_up([], 256).sentence == ""


# The corrected recipe


def test_suggestions_are_taken_until_none_is_left() -> None:
    def check(arguments: Any) -> list[Finding]:
        if arguments.get("optimizer") != "SGD":
            return [finding("T003", "optimizer=SGD lr0=0.01")]
        if arguments.get("warmup_epochs") == 0:
            return [finding("T004", "warmup_epochs=5"), finding("T005", "warmup_epochs=4 nbs=16")]
        return []

    assert correct_recipe({"lr0": 0.05, "imgsz": 320}, check) == {
        "lr0": 0.01, "imgsz": 320, "optimizer": "SGD",
    }  # fmt: skip
    assert correct_recipe({"optimizer": "SGD", "warmup_epochs": 0}, check) == {
        "optimizer": "SGD", "warmup_epochs": 5, "nbs": 16,
    }  # fmt: skip


def test_suggestions_that_go_in_circles_come_to_an_end() -> None:
    def check(arguments: Any) -> list[Finding]:
        return [finding("T011", f"batch={33 - arguments['batch']}")]

    assert correct_recipe({"batch": 16}, check)["batch"] in (16, 17)


def finding(code: str, suggestion: str) -> Finding:
    return Finding(code, code.lower(), Severity.WARNING, "message", suggestion=suggestion)


def test_a_command_is_quoted_and_reads_back_as_the_same_arguments() -> None:
    overrides = {
        "lr0": 0.01,
        "batch": 16,
        "fraction": 1.0,
        "amp": False,
        "classes": [0, 2],
        "name": "my run",
        "time": None,
    }
    command = train_command("my set/data.yaml", "yolov8n.pt", overrides)
    parts = shlex.split(command)
    assert parts[:5] == ["sanitize", "train", "my set/data.yaml", "--model", "yolov8n.pt"]
    assert parse_arguments(parts[5:]) == overrides
    assert spelled({"fraction": 1.0, "close_mosaic": 10.0}) == ["fraction=1.0", "close_mosaic=10"]


# The command line


def test_fix_recipe_prints_the_command_alone(flawed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "preflight",
        str(flawed),
        "--model",
        MODEL,
        "--fix-recipe",
        "optimizer=SGD",
        "lr0=0.5",
        "warmup_epochs=0",
    ]
    assert main([*given, "imgsz=64"]) == 0
    out, err = capsys.readouterr()
    (command,) = out.splitlines()
    assert parse_arguments(shlex.split(command)[5:]) == {
        "optimizer": "SGD", "lr0": 0.02, "warmup_epochs": 3, "imgsz": 64, "nbs": 16,
    }  # fmt: skip
    assert "T001 lr0=0.02: lr0=0.5 is over" in err


def test_exit_status_and_files(
    flawed: Path, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", MODEL, "--no-probe", "imgsz=64", "device=cpu"]
    outputs = [tmp_path / name for name in ("r.json", "r.html", "r.csv")]
    more = [text for path in outputs for text in ("--output", str(path))]
    assert main(["preflight", str(flawed), *options, *more]) == 1
    assert "NO-GO" in capsys.readouterr().out
    assert all(path.stat().st_size for path in outputs)
    assert json.loads(outputs[0].read_text())["preflight"]["go"] is False
    assert main(["preflight", str(clean), *options]) == 0
    assert capsys.readouterr().out.startswith("GO ")
    assert main(["preflight", str(flawed), *options, "--fail-on", "never"]) == 0
    assert main(["preflight", str(flawed), *options, "--select", "T", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("GO ")
    assert main(["preflight", str(flawed), *options, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["preflight"]["areas"]["gradients"]["mark"] == "not looked at"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["lr=0.1"], "there is no train argument 'lr' (did you mean 'lr0'?)"),
        (["data=x.yaml"], "data is given by the first argument"),
        (["device=cpu", "--device", "cpu"], "give one of them"),
        (["--budget", "soon"], "'soon' is no budget"),
        (["optimizer=SDG"], "optimizer=SDG: there are SGD"),
    ],
)
def test_wrong_usage_is_one_line(
    clean: Path, given: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preflight", str(clean), "--model", MODEL, *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err and len(err.splitlines()) == 1


def test_a_baseline_knows_findings_of_the_recipe_too(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(clean), "--model", MODEL, "--no-probe", "imgsz=64", "optimizer=SGD", "lr0=0.5"]
    known = str(tmp_path / "known.json")
    assert main(["preflight", *options, "--write-baseline", known]) == 0
    assert main(["preflight", *options]) == 1
    capsys.readouterr()
    assert main(["preflight", *options, "--baseline", known]) == 0
    assert "known of the baseline" in capsys.readouterr().out


def test_weights_say_at_what_size_training_will_run(clean: Path, shared_data: Path) -> None:
    weights = str(shared_data / "weights" / "yolov8n.pt")
    recipe, *_ = read_recipe(found(clean), weights, {})
    assert recipe.resolved().imgsz == 640
    assert recipe.model.is_trained
    assert np.isfinite(recipe.resolved().lr0)


HOT = {"optimizer": "SGD", "lr0": 0.05, "warmup_epochs": 0}
CLASS_LIST = "val and test were exported with another class list than train"
DROPS, EMPTY = "training drops 1 of 567 images: B003", "88 of 567 images have no label file"
NO_SIZE, NEAR = "B002 no-size (2)", "B008 near-duplicate (7)"


@pytest.mark.parametrize(
    ("name", "overrides", "go", "expected"),
    [
        ("ships_dirty", HOT, False, ["lr0=0.05 is over 0.01", CLASS_LIST, DROPS]),
        ("ships_dirty", {}, False, [CLASS_LIST, DROPS, EMPTY]),
        ("bccd", HOT, False, ["lr0=0.05 is over 0.01", NO_SIZE, NEAR]),
        ("bccd", {}, False, [NO_SIZE, NEAR]),
        ("ultralytics_coco8", {"lr0": 0.05, "warmup_epochs": 0}, False, ["there is no warm-up"]),
        ("ultralytics_coco8", {"lr0": 0.05}, True, ["optimizer=auto ignores lr0=0.05"]),
        ("ultralytics_coco8", {}, True, []),
    ],
)
def test_the_right_three_things_of_published_sets(
    name: str, overrides: dict[str, Any], go: bool, expected: list[str], shared_data: Path
) -> None:
    weights = str(shared_data / "weights" / "yolov8n.pt")
    flight = preflight(str(shared_data / name / "data.yaml"), weights, overrides, probing=False)
    assert is_go(flight, None) is go
    found = [concern.what for concern in concerns(flight)[:3]]
    assert len(found) == len(expected)
    for what, begins in zip(found, expected, strict=True):
        assert what.startswith(begins)
    mended = preflight(
        str(shared_data / name / "data.yaml"), weights, flight.recipe.corrected(), probing=False
    )
    assert not any(f.rule.startswith("T") for f in mended.report.findings)
