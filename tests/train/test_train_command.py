"""`sanitize train`: a whole run on a clean view, logged and clipped, while the dataset keeps every byte."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_sets import tiny_set

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from spoilt_trainers import AllBad, OneBadImage  # noqa: E402

from sanitizer.archives.finding import find_dataset  # noqa: E402
from sanitizer.cli import main  # noqa: E402
from sanitizer.train.exclusions import ExclusionError, read_exclusions  # noqa: E402
from sanitizer.train.running import Outcome, outcome  # noqa: E402
from sanitizer.train.trainer import ClippedTrainer  # noqa: E402
from sanitizer.ultra.library import LOGGER  # noqa: E402

pytestmark = [pytest.mark.probe, pytest.mark.ultralytics]

MODEL = "yolov8n.yaml"
SHORT = ["epochs=2", "imgsz=64", "batch=4", "nbs=4", "optimizer=SGD", "lr0=0.01", "workers=0", "plots=False"]
SHORT += ["device=cpu", "val=False", "close_mosaic=1"]


@pytest.fixture(autouse=True)
def few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set with one image that training drops, one JPEG that it would re-encode, and one row that it drops."""
    path = tiny_set(tmp_path / "set", train=10)
    folder = path.parent
    (folder / "labels/train/0.txt").write_text("7 0.5 0.5 0.2 0.2\n")
    tail = folder / "images/train/1.jpg"
    tail.write_bytes(tail.read_bytes() + b"\0\0")
    val_tail = folder / "images/val/0.jpg"
    val_tail.write_bytes(val_tail.read_bytes() + b"\0\0")
    twice = folder / "labels/train/2.txt"
    twice.write_text(twice.read_text() * 2)
    return path


def hashed(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file and folder: digest of its content, mode, and time of change."""
    return {
        str(p.relative_to(folder)): (
            hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "",
            p.lstat().st_mode,
            p.lstat().st_mtime_ns,
        )
        for p in [folder, *folder.rglob("*")]
    }


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(data: Path, *more: str, name: str = "run") -> tuple[int, Path]:
    """(exit status, folder of the run)."""
    project = data.parents[1] / "runs"
    status = main(["train", str(data), "--model", MODEL, *SHORT, f"project={project}", f"name={name}", *more])
    return status, project / name


@pytest.mark.parametrize("cache", ["False", "disk", "ram"])
def test_training_does_not_touch_the_dataset(
    data: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashed(data.parent)
    status, folder = run(data, f"cache={cache}", "val=True")
    assert hashed(data.parent) == before
    out, err = capsys.readouterr()
    assert status == 0
    assert out.splitlines() == [
        f"run: {folder}",
        f"logs: {folder / 'grad_norms.csv'}",
        "Of 6 optimizer steps, 0 steps spiked, 0 were skipped as not finite; 0 rollbacks.",
    ]
    assert "1 image left out" in err and "2 images copied rather than linked" in err
    view = Path(f"{folder}-dataset")
    assert len((view / "train.txt").read_text().splitlines()) == 9
    excluded = rows(view / "excluded.csv")
    assert len(excluded) == 1 and excluded[0]["image"] == "images/train/0.jpg"
    assert "C001" in excluded[0]["reason"]
    assert (folder / "weights" / "last.pt").exists()


def test_the_optimizer_chooses_the_clip_limit_unless_a_person_sets_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, log = {}, io.StringIO()
    handler = logging.StreamHandler(log)
    LOGGER.addHandler(handler)
    for name, asked in {
        "adam": ["optimizer=auto"],
        "sgd": ["max_grad_norm=auto"],
        "three": ["max_grad_norm=3"],
        "adaptive": ["adaptive_percentile=50"],
    }.items():
        assert run(data, "epochs=1", *asked, name=name)[0] == 0
        said[name] = capsys.readouterr().err + log.getvalue()
        log.truncate(0)
    LOGGER.removeHandler(handler)
    assert "clipped at a norm of 1 (auto: AdamW divides by" in said["adam"], (
        "Ultralytics' choice for a short run"
    )
    assert "clipped at a norm of 10 (auto: the learning rates of SGD" in said["sgd"]
    assert "clipped at a norm of 3 (as set)" in said["three"]
    assert "clipped at the 50th percentile of the norms so far" in said["adaptive"]
    assert {name: "T025" in err for name, err in said.items() if name != "adaptive"} == {
        "adam": False, "sgd": False, "three": True,
    }  # fmt: skip
    runs = data.parents[1] / "runs"
    limits = {
        name: {r["max_grad_norm"] for r in rows(runs / name / "grad_norms.csv")}
        for name in ("adam", "sgd", "three")
    }
    assert limits == {"adam": {"1"}, "sgd": {"10"}, "three": {"3"}}
    assert json.loads((runs / "adaptive" / "clipping.json").read_text()) == {
        "max_grad_norm": 10.0, "adaptive_percentile": 50,
    }  # fmt: skip


def test_data_and_model_may_be_spelled_as_yolo_spells_them(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = data.parents[1] / "runs"
    more = [*SHORT, "epochs=1", f"project={project}", "name=run"]
    assert main(["train", f"data={data}", f"model={MODEL}", "task=detect", *more]) == 0
    assert (project / "run" / "grad_norms.csv").exists()
    for slip in (
        ["model=a.pt", "--model", "b.pt"],
        [str(data), f"data={data}", f"model={MODEL}"],
        [str(data)],
    ):
        assert main(["train", *slip, *more]) == 2
    err = capsys.readouterr().err
    assert "model is named twice" in err and "data is named twice" in err and "name what to train" in err


def test_a_second_run_of_one_name_gets_its_own_folder_and_view(data: Path) -> None:
    assert run(data, "epochs=1")[0] == run(data, "epochs=1")[0] == 0
    runs = data.parents[1] / "runs"
    assert {p.name for p in runs.iterdir()} == {"run", "run-dataset", "run-2", "run-2-dataset"}


def test_named_images_are_left_out(data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    absolute = data.parent / "images/train/5.jpg"
    bad.write_text(f"# seen on Monday\n\nimages/train/4.jpg\n{absolute}\n")
    assert run(data, "--exclude", str(bad), "epochs=1")[0] == 0
    view = tmp_path / "runs" / "run-dataset"
    names = [Path(line).name for line in (view / "train.txt").read_text().splitlines()]
    assert names == ["1.jpg", "2.jpg", "3.jpg", "6.jpg", "7.jpg", "8.jpg", "9.jpg"]
    reasons = {r["image"]: r["reason"] for r in rows(view / "excluded.csv")}
    assert reasons["images/train/4.jpg"] == f"named in {bad}:3"
    assert reasons["images/train/5.jpg"] == f"named in {bad}:4"


def test_a_reviewed_sheet_is_carried_out_in_the_view(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "reviewed.csv"
    assert main(["scan", str(data), "--output", str(sheet), "--format", "json"]) == 1
    text = sheet.read_text(encoding="utf-8-sig").splitlines()
    table = list(csv.DictReader(text))
    for row in table:
        row["decision"] = "drop" if row["rule"] in ("I006", "B007") else ""
    with open(sheet, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    before = hashed(data.parent)
    assert run(data, "--decisions", str(sheet), "epochs=1")[0] == 0
    assert hashed(data.parent) == before
    view = tmp_path / "runs" / "run-dataset"
    assert "images/train/1.jpg" in {r["image"] for r in rows(view / "excluded.csv")}
    assert len((view / "labels/train/2.txt").read_text().splitlines()) == 1


# What may be named to be left out


def test_a_list_of_images_is_read_however_they_are_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = find_dataset([str(data)])
    monkeypatch.chdir(data.parent / "images")
    link = tmp_path / "link.jpg"
    os.symlink(data.parent / "images/train/6.jpg", link)
    sheet = tmp_path / "spikes.csv"
    sheet.write_text(f"step,image,share\n3,images/train/4.jpg,0.5\n4,{link},\n5,,\n")
    assert list(read_exclusions(str(sheet), dataset)) == ["images/train/4.jpg", "images/train/6.jpg"]
    decided = tmp_path / "decided.csv"
    decided.write_text(
        "rule;image;line;decision\nG001;images/train/4.jpg;;Drop\nG001;images/train/5.jpg;;keep\n"
        "G002;images/train/6.jpg;2;drop\n"
    )
    assert list(read_exclusions(str(decided), dataset)) == ["images/train/4.jpg"]
    listed = tmp_path / "listed.txt"
    listed.write_text("train/7.jpg\n")
    assert list(read_exclusions(str(listed), dataset)) == ["images/train/7.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "a.txt",
            "images/train/3.jpg\nimages/train/33.jpg\n",
            ":2: the dataset has no image 'images/train/33.jpg'",
        ),
        ("a.csv", "file,why\nx.jpg,bad\n", "has no column 'image'"),
    ],
)
def test_an_image_that_is_not_there_is_refused(
    data: Path, tmp_path: Path, name: str, text: str, problem: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ExclusionError) as refused:
        read_exclusions(str(tmp_path / name), find_dataset([str(data)]))
    assert problem in str(refused.value)


# Failing, resuming


def test_what_a_run_came_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "grad_norms.csv").write_text("step,spike,skipped\n0,0,0\n1,1,0\n2,0,1\n3,0,1\n")
    (tmp_path / "spikes.csv").write_text(
        "step,kind,image\n1,spike,a.jpg\n4,rollback,b.jpg\n4,rollback,c.jpg\n"
    )
    assert outcome(str(tmp_path)).sentence == (
        "Of 4 optimizer steps, 1 step spiked, 2 were skipped as not finite; 1 rollback, which left out b.jpg, c.jpg."
    )
    assert Outcome("x", 1, 2, 1, 0).sentence == (
        "Of 1 optimizer step, 2 steps spiked, 1 was skipped as not finite; 0 rollbacks."
    )


def test_a_nan_is_survived_and_the_users_own_image_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sanitizer.probe.explaining_trainer.ExplainingTrainer", OneBadImage)
    before = hashed(data.parent)
    status, folder = run(data, "epochs=6", "mosaic=0", "batch=9", "nbs=9")
    assert status == 0
    assert hashed(data.parent) == before
    bad = str(data.parent / "images/train/3.jpg")
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last
        == f"Of 6 optimizer steps, 0 steps spiked, 3 were skipped as not finite; 1 rollback, which left out {bad}."
    )
    assert {r["image"] for r in rows(folder / "spikes.csv") if r["kind"] == "not-finite-alone"} == {bad}
    weights = torch.load(folder / "weights" / "last.pt", weights_only=False)
    assert all(bool(v.isfinite().all()) for v in weights["model"].state_dict().values())


def test_a_run_that_cannot_be_saved_ends_with_a_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Hopeless(AllBad):
        max_rollbacks = 1

        @classmethod
        def configured(cls, **settings: Any) -> Any:
            return super().configured(**settings, max_rollbacks=1, bad_steps=2)

    monkeypatch.setattr("sanitizer.probe.explaining_trainer.ExplainingTrainer", Hopeless)
    status, _ = run(data, "epochs=4")
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("sanitize train: Training stopped in epoch ")


SCRIPT = """
import sys
from sanitizer.train.trainer import ClippedTrainer
from sanitizer.cli import main

class Killed(ClippedTrainer):
    def run_callbacks(self, event):
        super().run_callbacks(event)
        if event == "on_train_batch_end" and self.epoch == 2:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)

import sanitizer.probe.explaining_trainer as module
module.ExplainingTrainer = Killed
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_resumes_with_its_own_view_and_clipping(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["train", str(data), "--model", MODEL, *SHORT, "epochs=4", "max_grad_norm=3"]
    given += [f"project={tmp_path / 'runs'}", "name=run"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    folder = tmp_path / "runs" / "run"
    assert {r["epoch"] for r in rows(folder / "grad_norms.csv")} >= {"0", "1"}
    view = hashed(tmp_path / "runs" / "run-dataset")
    assert main(["train", "--model", str(folder / "weights" / "last.pt"), "resume=True"]) == 0
    log = rows(folder / "grad_norms.csv")
    assert [int(r["step"]) for r in log] == list(range(12)), "no step twice, none missing"
    assert {r["max_grad_norm"] for r in log} == {"3"}
    images = {k: v for k, v in hashed(tmp_path / "runs" / "run-dataset").items() if not k.endswith(".cache")}
    assert {k: v[0] for k, v in images.items()} == {
        k: v[0] for k, v in view.items() if not k.endswith(".cache")
    }
    assert "Of 12 optimizer steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "name what to train on"),
        (["{data}", "lr=1"], "there is no train argument 'lr'"),
        (["{data}", "max_grad_norm=0"], "max_grad_norm is 0: it must be over 0"),
        (["{data}", "--unsafe", "--decisions", "x.csv"], "leave --unsafe out"),
        (["resume=True", "--exclude", "x.txt"], "leave --exclude out"),
        (["resume=gone/last.pt"], "gone/last.pt: there is no such checkpoint"),
        (["{data}", "--exclude", "gone.txt"], "gone.txt: No such file"),
    ],
)
def test_wrong_usage_is_one_line(
    data: Path,
    tmp_path: Path,
    given: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [text.format(data=data) for text in given]
    assert main(["train", *texts, "--model", MODEL, f"project={tmp_path / 'runs'}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists(), "refused before anything is made"


def test_nothing_is_started_where_no_image_is_left_to_validate_on(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in (data.parent / "labels/val").iterdir():
        label.write_text("9 0.5 0.5 0.2 0.2\n")
    status, folder = run(data)
    assert status == 2
    assert "no image is left to validate on" in capsys.readouterr().err
    assert not (folder / "weights").exists()


def test_ultralytics_says_why_it_stopped_in_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(ClippedTrainer):
        def optimizer_step(self) -> None:
            raise ValueError("\x1b[34mtrain: \x1b[0mno memory\nmore")

    monkeypatch.setattr("sanitizer.probe.explaining_trainer.ExplainingTrainer", Broken)
    status, _ = run(data)
    assert status == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "sanitize train: training stopped: train: no memory (SANITIZE_TRACEBACK=1 shows where)"


def test_the_processes_of_several_gpus_get_the_settings(tmp_path: Path) -> None:
    """Ultralytics hands them the class by cloudpickle."""
    cloudpickle = pytest.importorskip("cloudpickle")
    trainer = ClippedTrainer.configured(max_grad_norm=2.0, adaptive_percentile=50, follow_links=True)
    for number, kind in enumerate((trainer, trainer.for_task("segment"))):
        (tmp_path / f"{number}.pkl").write_bytes(cloudpickle.dumps(kind))
    script = f"""
import pickle
for number, base in enumerate(("BaseTrainer", "SegmentationTrainer")):
    kind = pickle.load(open(r"{tmp_path}/%d.pkl" % number, "rb"))
    assert (kind.max_grad_norm, kind.adaptive_percentile, kind.follow_links) == (2.0, 50, True)
    assert number == 0 or base in [k.__name__ for k in kind.__mro__]
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
