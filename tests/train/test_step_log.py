"""The log of a training run: what it writes, and how a resumed run takes it up."""

from __future__ import annotations

import contextlib
import csv
import errno
import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from strange_files import STRANGE, put, within

pytest.importorskip("torch")

from sanitizer.train import step_log
from sanitizer.train.clipped_step import StepRecord
from sanitizer.train.spikes import Spike, SpikeShare
from sanitizer.train.step_log import StepLog

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.probe

RECORD = StepRecord(
    step=0,
    epoch=0,
    loss=18.0131,
    loss_items={"box_loss": 1.5, "cls_loss": 5.0},
    grad_norm=468.03,
    max_grad_norm=1.0,
    clip_coefficient=1 / 468.03,
    lr=0.01,
    amp_scale=None,
    skipped=False,
    images=("a.jpg", "=b.jpg", "a.jpg"),
)


class Events:
    """Stands in for TensorBoard's writer."""

    def __init__(self, folder: str, purge_step: int) -> None:
        self.purge_step, self.scalars, self.closed = purge_step, [], False  # type: ignore[var-annotated]

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def log_of(folder: Path, epochs: int, steps_an_epoch: int = 2) -> None:
    log = StepLog(folder)
    for step in range(epochs * steps_an_epoch):
        spike = Spike(100.0, 7.5) if step % 2 else None
        log.write(replace(RECORD, step=step, epoch=step // steps_an_epoch, grad_norm=100.0 + step), spike)
    log.close()


@pytest.mark.usefixtures("no_tensorboard")
def test_every_step_is_a_row(tmp_path: Path) -> None:
    log = StepLog(tmp_path)
    log.write(RECORD, None)
    log.write(
        replace(RECORD, step=1, grad_norm=math.nan, skipped=True, amp_scale=1024.0, clip_coefficient=0.0),
        None,
    )
    first, second = rows(tmp_path / "grad_norms.csv")
    assert list(first) == [
        *("step", "epoch", "loss", "box_loss", "cls_loss", "grad_norm", "max_grad_norm", "clip_coefficient"),
        *("lr", "amp_scale", "skipped", "spike"),
    ]
    assert (first["grad_norm"], first["amp_scale"], first["skipped"], first["spike"]) == (
        "468.03",
        "",
        "0",
        "0",
    )
    assert (second["grad_norm"], second["amp_scale"], second["skipped"]) == ("nan", "1024", "1")
    assert float(first["clip_coefficient"]) == pytest.approx(1 / 468.03, rel=1e-5)
    log.close()


@pytest.mark.usefixtures("no_tensorboard")
def test_images_of_spikes_and_skipped_steps_are_kept(tmp_path: Path) -> None:
    log = StepLog(tmp_path)
    log.write(RECORD, None)
    log.write(replace(RECORD, step=1), Spike(typical=40.0, score=7.25))
    log.write(replace(RECORD, step=2, skipped=True, grad_norm=math.inf), None, culprits=("a.jpg",))
    log.close()
    kept = [
        (r["step"], r["kind"], r["typical_norm"], r["score"], r["image"])
        for r in rows(tmp_path / "spikes.csv")
    ]
    assert kept == [
        ("1", "spike", "40", "7.25", "a.jpg"),
        ("1", "spike", "40", "7.25", "'=b.jpg"),
        ("2", "not-finite-alone", "", "", "a.jpg"),
        ("2", "not-finite", "", "", "'=b.jpg"),
    ]


@pytest.mark.usefixtures("no_tensorboard")
def test_what_images_carry_is_entered_into_their_rows(tmp_path: Path) -> None:
    log = StepLog(tmp_path)
    for step in (1, 2):
        log.write(replace(RECORD, step=step, images=("a.jpg", "=b.jpg", "c.jpg")), Spike(40.0, 7.25))
    log.attribute({2: [SpikeShare("=b.jpg", 0.875, 3, 1.25), SpikeShare("c.jpg", None, None, None)]})
    log.write(replace(RECORD, step=3, images=("d.jpg",)), Spike(40.0, 8.0))
    log.rolled_back(3, 0, ["d.jpg", "e.jpg"])
    log.attribute({3: [SpikeShare("d.jpg", 1.0, 1, 0.5)]})
    log.attribute({4: []})
    log.close()
    kept = [
        (r["step"], r["kind"], r["image"], r["share"], r["line"], r["line_share"])
        for r in rows(tmp_path / "spikes.csv")
    ]
    assert kept == [
        ("1", "spike", "a.jpg", "", "", ""),
        ("1", "spike", "'=b.jpg", "", "", ""),
        ("1", "spike", "c.jpg", "", "", ""),
        ("2", "spike", "'=b.jpg", "0.8750", "3", "1.2500"),
        ("2", "spike", "c.jpg", "", "", ""),
        ("2", "spike", "a.jpg", "", "", ""),
        ("3", "spike", "d.jpg", "1.0000", "1", "0.5000"),
        ("3", "rollback", "d.jpg", "", "", ""),
        ("3", "rollback", "e.jpg", "", "", ""),
    ]


@pytest.mark.usefixtures("no_tensorboard")
def test_a_new_run_starts_with_empty_logs(tmp_path: Path) -> None:
    log_of(tmp_path, epochs=2)
    log = StepLog(tmp_path)
    assert (log.next_step, log.norms) == (0, [])
    assert not (tmp_path / "grad_norms.csv").exists()
    assert not (tmp_path / "spikes.csv").exists()


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize(
    "torn", ["", "6,3,18.01", "6,3,18.0131,1.5,5,106,1,0.00"], ids=["whole", "short", "shorter"]
)
def test_a_resumed_run_drops_what_it_makes_again(torn: str, tmp_path: Path) -> None:
    log_of(tmp_path, epochs=3)
    with open(tmp_path / "grad_norms.csv", "a", encoding="utf-8") as file:
        file.write(torn)
    log = StepLog(tmp_path, resume_epoch=2)
    assert (log.next_step, log.norms) == (4, [100.0, 101.0, 102.0, 103.0])
    log.write(replace(RECORD, step=4, epoch=2), None)
    log.close()
    assert [r["step"] for r in rows(tmp_path / "grad_norms.csv")] == ["0", "1", "2", "3", "4"]
    assert {r["step"] for r in rows(tmp_path / "spikes.csv")} == {"1", "3"}


@pytest.mark.usefixtures("no_tensorboard")
def test_a_run_that_died_before_its_first_step_resumes(tmp_path: Path) -> None:
    (tmp_path / "grad_norms.csv").touch()
    log = StepLog(tmp_path, resume_epoch=1)
    log.write(RECORD, None)
    log.close()
    assert len(rows(tmp_path / "grad_norms.csv")) == 1


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize("name", ["grad_norms.csv", "spikes.csv"])
def test_a_log_that_cannot_be_written_anew_stays_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed, or finds the disk full, while it resumes has lost nothing."""
    log_of(tmp_path, epochs=3)
    before = (tmp_path / name).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        StepLog(tmp_path, resume_epoch=2)
    assert (tmp_path / name).read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"grad_norms.csv", "spikes.csv"}


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize("name", ["grad_norms.csv", "spikes.csv"])
@pytest.mark.parametrize("kind", [kind for kind in STRANGE if kind not in ("gone", "link to a device")])
def test_what_is_no_log_is_never_waited_for_or_held(name: str, kind: str, tmp_path: Path) -> None:
    log_of(tmp_path, epochs=1)
    put(kind, tmp_path / name)
    with within(10), contextlib.suppress(OSError):
        StepLog(tmp_path, resume_epoch=1).close()


@pytest.mark.usefixtures("no_tensorboard")
@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "step,epoch\n",
        "a,b\n1,2\n",
        "step,epoch,grad_norm\nx,0,1\n1,y,1\n2,0,z\n",
        f"step,epoch,grad_norm\n1,{'9' * 5000},1\n",
        "\udcff",
    ],
)
def test_rows_that_are_none_are_left_out(text: str, tmp_path: Path) -> None:
    for name in ("grad_norms.csv", "spikes.csv"):
        (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    log = StepLog(tmp_path, resume_epoch=1)
    assert log.norms == []
    log.write(replace(RECORD, step=3), Spike(1.0, 7.0))
    log.attribute({3: [SpikeShare("a.jpg", 0.5, 1, 0.5)]})
    log.close()


def test_events_go_to_tensorboard_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import ModuleType

    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Events
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    log = StepLog(tmp_path)
    events = log._events
    log.write(RECORD, None)
    log.write(replace(RECORD, step=1, grad_norm=math.nan, loss=math.nan), None)
    log.close()
    assert events.closed
    assert events.purge_step == 0
    tags = {
        "step/loss",
        "step/grad_norm",
        "step/clip_coefficient",
        "step/lr",
        "step/box_loss",
        "step/cls_loss",
    }
    assert {tag for tag, _, step in events.scalars if step == 0} == tags
    assert {tag for tag, _, step in events.scalars if step == 1} == tags - {"step/loss", "step/grad_norm"}
    assert ("step/grad_norm", 468.03, 0) in events.scalars


@pytest.mark.usefixtures("no_tensorboard")
def test_without_tensorboard_there_are_none(tmp_path: Path) -> None:
    assert step_log._event_writer(tmp_path, 0) is None
