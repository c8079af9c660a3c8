"""What a training run says of its steps: grad_norms.csv, spikes.csv and, where installed, TensorBoard events."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TextIO

from sanitizer.reports.csv_ import guarded
from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import MIB, read_bounded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from sanitizer.train.clipped_step import StepRecord
    from sanitizer.train.spikes import Carried, Spike

NORMS = "grad_norms.csv"
SPIKES = "spikes.csv"

MAX_LOG_BYTES = 512 * MIB
"""The largest log that a resumed run takes up: that of some millions of steps."""

_SPIKE_COLUMNS = ("step", "epoch", "kind", "grad_norm", "typical_norm", "score", "image",
                  "share", "line", "line_share")  # fmt: skip


class StepLog:
    """Writes every step as it comes, line by line, so that a run that dies has said all it knew.

    Attributes:
        next_step: Number of the step that follows the last one logged.
        norms: Gradient norms of the steps that a resumed run has behind it, oldest first.
    """

    def __init__(self, folder: Path, resume_epoch: int | None = None) -> None:
        """Open the files of a run.

        Args:
            folder: The run's `save_dir`.
            resume_epoch: Epoch that a resumed run starts with, from 0: steps of this epoch and later ones were made
                by the run that died and are made again, so their rows go. None starts anew.
        """
        self.next_step = 0
        self.norms: list[float] = []
        self._norms_path, self._spikes_path = folder / NORMS, folder / SPIKES
        for path, columns in ((self._norms_path, _SPIKE_COLUMNS[:2]), (self._spikes_path, _SPIKE_COLUMNS)):
            if resume_epoch is None:
                path.unlink(missing_ok=True)
            else:
                _drop_from_epoch(path, resume_epoch, columns)
        self._take_up()
        self._files: dict[Path, TextIO] = {}
        self._events = _event_writer(folder, self.next_step)

    def _take_up(self) -> None:
        if self._norms_path.exists():
            header, rows = _read_rows(self._norms_path)
            for row in rows:
                self.next_step = int(row[0]) + 1
                with contextlib.suppress(ValueError):
                    self.norms.append(float(row[header.index("grad_norm")]))

    def write(self, record: StepRecord, spike: Spike | None, culprits: Collection[str] = ()) -> None:
        """Log one step, and the images of one that spiked or was skipped.

        Args:
            record: The step.
            spike: What makes its norm a spike, or None.
            culprits: Those of its images whose loss is not finite even alone.
        """
        self._row(
            self._norms_path,
            {
                "step": record.step,
                "epoch": record.epoch,
                "loss": f"{record.loss:.6g}",
                **{name: f"{value:.6g}" for name, value in record.loss_items.items()},
                "grad_norm": f"{record.grad_norm:.6g}",
                "max_grad_norm": f"{record.max_grad_norm:.6g}",
                "clip_coefficient": f"{record.clip_coefficient:.6g}",
                "lr": f"{record.lr:.6g}",
                "amp_scale": "" if record.amp_scale is None else f"{record.amp_scale:g}",
                "skipped": int(record.skipped),
                "spike": int(spike is not None),
            },
        )
        if spike or record.skipped:
            self._spike_rows(record, spike, culprits)
        if self._events:
            self._event(record)

    def _spike_rows(self, record: StepRecord, spike: Spike | None, culprits: Collection[str]) -> None:
        typical, score = (f"{spike.typical:.6g}", f"{spike.score:.2f}") if spike else ("", "")
        for image in dict.fromkeys((*culprits, *record.images)):
            kind = "spike" if not record.skipped else "not-finite"
            kind = "not-finite-alone" if image in culprits else kind
            self._spike_row(
                record.step, record.epoch, kind, f"{record.grad_norm:.6g}", typical, score, guarded(image)
            )

    def rolled_back(self, step: int, epoch: int, left_out: Collection[str]) -> None:
        """Log that the run went back, a row for each image that it leaves out from now on."""
        for image in left_out or ("",):
            self._spike_row(step, epoch, "rollback", "", "", "", guarded(image))

    def _spike_row(self, *cells: object) -> None:
        """Write a row, what nobody measured yet left empty."""
        row = dict(zip_longest(_SPIKE_COLUMNS, cells, fillvalue=""))
        self._row(self._spikes_path, row)

    def attribute(self, found: Mapping[int, Sequence[Carried]]) -> None:
        """Enter what images carry into the rows of their steps; those that carry most come first.

        Args:
            found: Step to its images. Those that were not measured keep their rows, behind the others.
        """
        if not any(found.values()):
            return
        self._close(self._spikes_path)
        with open(self._spikes_path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        order = {step: {guarded(c.image): (n, c) for n, c in enumerate(cs)} for step, cs in found.items()}
        # Rows of a step stand together, and sorting is stable.
        places = {id(row): order.get(int(row["step"]), {}).get(row["image"]) for row in rows}
        for row in rows:
            place = places[id(row)]
            if place and row["kind"] != "rollback":
                row |= _carried_cells(place[1])
        behind = len(rows)
        rows.sort(key=lambda row: (int(row["step"]), (places[id(row)] or (behind, None))[0]))
        text = io.StringIO()
        writer = csv.DictWriter(text, _SPIKE_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(str(self._spikes_path), text.getvalue().encode())

    def _row(self, path: Path, row: dict[str, Any]) -> None:
        file = self._files.get(path)
        if file is None:
            new = not path.exists()
            file = self._files[path] = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115
            if new:
                csv.writer(file).writerow(row)
        csv.writer(file).writerow(row.values())
        file.flush()

    def _event(self, record: StepRecord) -> None:
        values = {f"step/{name}": value for name, value in record.loss_items.items()}
        values |= {
            "step/loss": record.loss,
            "step/grad_norm": record.grad_norm,
            "step/clip_coefficient": record.clip_coefficient,
            "step/lr": record.lr,
        }
        for tag, value in values.items():
            if math.isfinite(value):
                self._events.add_scalar(tag, value, record.step)

    def _close(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file:
            file.close()

    def close(self) -> None:
        """Close all files."""
        for path in list(self._files):
            self._close(path)
        if self._events:
            self._events.close()
            self._events = None


def _carried_cells(carried: Carried) -> dict[str, str]:
    return {
        "share": "" if carried.share is None else f"{carried.share:.4f}",
        "line": "" if carried.line is None else str(carried.line),
        "line_share": "" if carried.line_share is None else f"{carried.line_share:.4f}",
    }


def _drop_from_epoch(path: Path, epoch: int, columns: Sequence[str]) -> None:
    """Take the rows of an epoch and of those after it off a log, and what is no row; a log without `columns` goes."""
    if not path.exists():
        return
    header, rows = _read_rows(path)
    if header[: len(columns)] != [*columns]:
        path.unlink()
        return
    text = io.StringIO()
    csv.writer(text).writerow(header)
    csv.writer(text).writerows(row for row in rows if int(row[1]) < epoch)
    write_atomically(str(path), text.getvalue().encode())


def _read_rows(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Header and whole rows of a log, which may be anybody's: a killed run leaves a last row that is cut short.

    Raises:
        OSError: It is no regular file, or larger than `MAX_LOG_BYTES`.
    """
    text = read_bounded(str(path), MAX_LOG_BYTES).decode(errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    return header, (row for row in reader if len(row) == len(header) and all(map(_is_number, row[:2])))


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) < 19


def _event_writer(folder: Path, next_step: int) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=next_step)
