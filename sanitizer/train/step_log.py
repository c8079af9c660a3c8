"""The log of a run's steps: grad_norms.csv, spikes.csv and, if TensorBoard is installed, its events."""

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
    from sanitizer.train.spikes import Spike, SpikeShare

NORMS = "grad_norms.csv"
SPIKES = "spikes.csv"

MAX_LOG_BYTES = 512 * MIB
"""Size limit of a log that a resumed run continues: that of some millions of steps."""

_SPIKE_COLUMNS = ("step", "epoch", "kind", "grad_norm", "typical_norm", "score", "image",
                  "share", "line", "line_share")  # fmt: skip


class StepLog:
    """Writes each step to the files at once, so that the log of a killed run is complete.

    Attributes:
        next_step: Number of the step after the last step in the log.
        norms: Gradient norms that a resumed run found in the log, oldest first.
    """

    def __init__(self, folder: Path, resume_epoch: int | None = None) -> None:
        """Open the files of a run.

        Args:
            folder: The run's `save_dir`.
            resume_epoch: Number of the epoch, from 0, that a resumed run starts with. It makes the steps of this and
                later epochs again, so their rows are removed. None starts a new log.
        """
        self.next_step = 0
        self.norms: list[float] = []
        self._norms_path, self._spikes_path = folder / NORMS, folder / SPIKES
        for path, columns in ((self._norms_path, _SPIKE_COLUMNS[:2]), (self._spikes_path, _SPIKE_COLUMNS)):
            if resume_epoch is None:
                path.unlink(missing_ok=True)
            else:
                _drop_from_epoch(path, resume_epoch, columns)
        self._read_norms()
        self._files: dict[Path, TextIO] = {}
        self._events = _event_writer(folder, self.next_step)

    def _read_norms(self) -> None:
        """Set `next_step` and `norms` from the rows of an earlier run."""
        if self._norms_path.exists():
            header, rows = _read_rows(self._norms_path)
            for row in rows:
                self.next_step = int(row[0]) + 1
                with contextlib.suppress(ValueError):
                    self.norms.append(float(row[header.index("grad_norm")]))

    def write(self, record: StepRecord, spike: Spike | None, culprits: Collection[str] = ()) -> None:
        """Log one step. If it is a spike or was skipped, also log its images.

        Args:
            record: The step.
            spike: The step's spike, or None.
            culprits: Images of the step whose own loss, as a batch of one, is not finite.
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
        """Log a rollback, with one row for each image that is left out from now on."""
        for image in left_out or ("",):
            self._spike_row(step, epoch, "rollback", "", "", "", guarded(image))

    def _spike_row(self, *cells: object) -> None:
        """Write a row; the columns after the last cell stay empty."""
        row = dict(zip_longest(_SPIKE_COLUMNS, cells, fillvalue=""))
        self._row(self._spikes_path, row)

    def attribute(self, found: Mapping[int, Sequence[SpikeShare]]) -> None:
        """Fill in share, line and line_share in spikes.csv, and sort each step's rows.

        Args:
            found: Step number to the shares of its images, in the order that the rows get. Rows of images that were
                not measured come behind these.
        """
        if not any(found.values()):
            return
        self._close(self._spikes_path)
        with open(self._spikes_path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        ranked = {step: {guarded(s.image): (n, s) for n, s in enumerate(of)} for step, of in found.items()}
        # The rows of a step are neighbours, and sorting is stable.
        rank_of_row = {id(row): ranked.get(int(row["step"]), {}).get(row["image"]) for row in rows}
        for row in rows:
            rank = rank_of_row[id(row)]
            if rank and row["kind"] != "rollback":
                row |= _share_cells(rank[1])
        behind = len(rows)
        rows.sort(key=lambda row: (int(row["step"]), (rank_of_row[id(row)] or (behind, None))[0]))
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


def _share_cells(share: SpikeShare) -> dict[str, str]:
    return {
        "share": "" if share.share is None else f"{share.share:.4f}",
        "line": "" if share.line is None else str(share.line),
        "line_share": "" if share.line_share is None else f"{share.line_share:.4f}",
    }


def _drop_from_epoch(path: Path, epoch: int, columns: Sequence[str]) -> None:
    """Remove the rows of this epoch and of later ones, and damaged rows, from a log; delete a log without `columns`."""
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
    """Header and complete rows of a log. If a run was killed while it wrote, the last row is cut short.

    Raises:
        OSError: The log is not a regular file, or is larger than `MAX_LOG_BYTES`.
    """
    text = read_bounded(str(path), MAX_LOG_BYTES).decode(errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    return header, (row for row in reader if len(row) == len(header) and all(map(_is_number, row[:2])))


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) < 19


def _event_writer(folder: Path, next_step: int) -> Any:
    """A TensorBoard writer, or None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=next_step)
