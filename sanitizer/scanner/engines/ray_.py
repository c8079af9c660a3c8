"""The engine on a Ray cluster: pieces as tasks. Workers and nodes may be lost on the way, and nothing is lost by it.

Every node needs this version of sanitize, and must see the dataset under the same paths. Of one behind a URL a node is
told the URL alone: credentials are found where the node's own clients find them, and never sent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sanitizer import __version__
from sanitizer.dataset.left_out import NOTHING, LeftOut
from sanitizer.dataset.model import Dataset, Split
from sanitizer.scanner.chunks import judge
from sanitizer.scanner.engines.agenda import Agenda
from sanitizer.scanner.engines.culprit import NoProcessLivesError, judge_alone
from sanitizer.scanner.engines.errors import EngineError
from sanitizer.scanner.pieces import PackPiece, Piece
from sanitizer.storage.base import LOCAL, StorageError
from sanitizer.storage.opening import open_storage
from sanitizer.util.escape import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sanitizer.dataset.model import Pack
    from sanitizer.scanner.chunks import ChunkResult, Job
    from sanitizer.scanner.engines.agenda import Judged, QueuedPiece
    from sanitizer.storage.remote import RemoteStorage

    _Agenda = Agenda[Piece, list[ChunkResult]]

SENT_AHEAD = 2
"""Tasks at once for each core of the cluster: the next is on its node when one is through."""
PIECES_PER_TASK = 4
"""Pieces under way or waiting for one before them, for each task at once."""
COUNT_CORES_EVERY_S = 5.0
CONNECT_S = 10.0
MOST_LOSSES = 20
"""Times that nodes may be lost with the same piece before the cluster is taken to be unable to do it."""


def run_on_ray(
    job: Job, pieces: Iterable[Piece], jobs: int | None, add_note: Callable[[str], None]
) -> Iterator[Judged]:
    """Judge every piece, in order, on the cluster of RAY_ADDRESS, or one that runs here, or else one of our own.

    Args:
        job: What every worker must know; it is put into the object store once, without the names of files.
        pieces: Asked for one at a time, as they are needed.
        jobs: Tasks at a time; None takes the cores of the cluster, whatever they are from one moment to the next.
        add_note: Given sentences on how it went, for the report's notes.

    Raises:
        EngineError: Ray is not installed, no cluster answers, or its nodes cannot do the work.
    """
    with connected(add_note) as ray:
        yield from _Cluster(ray, job, jobs).run(pieces)


@dataclass(frozen=True, slots=True)
class PieceWithNames:
    """A piece, and what a node needs of the dataset to judge it: not the names of all other files.

    Attributes:
        piece: Counted within `splits` and `packs`.
        splits: The piece's pairs alone; of a packed file's piece, the names of all splits.
        packs: The packed file that the piece is in.
    """

    piece: Piece
    splits: Sequence[Split]
    packs: Sequence[Pack] = ()

    @classmethod
    def of(cls, dataset: Dataset, piece: Piece) -> PieceWithNames:
        """What is to be sent for a piece of this dataset."""
        if isinstance(piece, PackPiece):
            splits = [Split.empty(split.name) for split in dataset.splits]
            return cls(replace(piece, pack=0), splits, [dataset.packs[piece.pack]])
        part = dataset.splits[piece.split].part(piece.start, piece.stop)
        return cls(Piece(0, 0, len(part)), [part])


def judge_on_node(
    job: Job, version: str, place: str | None, piece_with_names: PieceWithNames, left_out: LeftOut
) -> list[ChunkResult]:
    """Judge a piece where this runs.

    Args:
        job: Its dataset has no pairs, and the local disk for its storage.
        version: Of sanitize, where the job comes from.
        place: A folder that must be here, or the URL of the storage; None where there is nothing to check.
        piece_with_names: The piece.
        left_out: Files that are not to be read.

    Raises:
        EngineError: This node has another version, or does not see the dataset.
    """
    if version != __version__:
        raise EngineError(f"node {_node()} has sanitize {__version__} where {version} asks: install the same")
    storage = LOCAL if place is None or "://" not in place else _reached(place)
    if storage is LOCAL and place is not None and not os.path.isdir(place):
        raise EngineError(
            f"node {_node()} does not see {place}: all nodes need the dataset under the same path, as on a shared disk"
        )
    dataset = replace(
        job.dataset, splits=piece_with_names.splits, packs=piece_with_names.packs, storage=storage
    )
    return judge(replace(job, dataset=dataset), None, piece_with_names.piece, left_out)


def _reached(url: str) -> RemoteStorage:
    """The storage of a URL, as this node reaches it: one in each process, whatever the number of pieces."""
    try:
        return open_storage(url)[0]
    except StorageError as error:
        raise EngineError(f"node {_node()} does not reach the dataset: {error}") from None


def _node() -> str:
    import socket

    return socket.gethostname()


class _DiedError(Exception):
    """The process that judged a piece ended over it."""


class _LostError(Exception):
    """The node, or the result on it, was lost; the piece is not to blame."""


class _Cluster:
    """Judges pieces of one job on a cluster that is connected."""

    def __init__(self, ray: Any, job: Job, jobs: int | None) -> None:
        self._ray, self._jobs = ray, jobs
        self._dataset = job.dataset
        self._place = _place_of(job.dataset)
        bare = replace(job.dataset, splits=(), packs=(), faults=(), storage=LOCAL)
        self._bare_job = replace(job, dataset=bare)
        self._job = ray.put(self._bare_job)
        # Retries are counted here: Ray's own would not tell a lost node from a file that ends every process.
        self._judge = ray.remote(num_cpus=1, max_retries=0)(judge_on_node)
        self._running: dict[Any, QueuedPiece[Piece]] = {}
        self._losses: dict[int, int] = {}
        self._at_once = 1
        self._count_again = 0.0

    def run(self, pieces: Iterable[Piece]) -> Iterator[Judged]:
        """Judge all pieces, in order; what still runs when this ends is cancelled."""
        agenda: _Agenda = Agenda(pieces)
        try:
            while True:
                self._hand_out(agenda)
                if self._running:
                    self._collect(agenda)
                elif agenda.suspects:
                    task = agenda.suspects.popleft()
                    agenda.finish(task, judge_alone(task.piece, self._attempt))
                else:
                    return
                yield from agenda.ready()
        except NoProcessLivesError:
            raise EngineError(
                "Ray's workers end whatever they are given to do: see the logs of the cluster"
            ) from None
        finally:
            for ref in self._running:
                self._ray.cancel(ref, force=True)

    def _hand_out(self, agenda: _Agenda) -> None:
        """Submit as many tasks as are good; none while suspects wait to be alone."""
        if agenda.suspects:
            return
        at_once = self._tasks_at_once()
        while len(self._running) < at_once:
            task = agenda.take(at_once * PIECES_PER_TASK)
            if task is None:
                return
            self._running[self._submit(task.piece, NOTHING)] = task

    def _tasks_at_once(self) -> int:
        """What was asked for, or what the cluster has now: nodes come and go."""
        if self._jobs is not None:
            return self._jobs
        if time.monotonic() >= self._count_again:
            self._count_again = time.monotonic() + COUNT_CORES_EVERY_S
            self._at_once = max(1, int(self._ray.cluster_resources().get("CPU", 1))) * SENT_AHEAD
        return self._at_once

    def _submit(self, piece: Piece, left_out: LeftOut) -> Any:
        piece_with_names = PieceWithNames.of(self._dataset, piece)
        return self._judge.remote(self._job, __version__, self._place, piece_with_names, left_out)

    def _collect(self, agenda: _Agenda) -> None:
        """Wait for one task and keep its results."""
        (ref,), _ = self._ray.wait(list(self._running), num_returns=1)
        task = self._running.pop(ref)
        try:
            agenda.finish(task, self._results(ref))
        except _DiedError:
            agenda.blame(task)
        except _LostError:
            self._count_loss(task.number)
            agenda.put_back(task)

    def _attempt(self, piece: Piece, left_out: LeftOut) -> list[ChunkResult] | None:
        """Judge a piece as the only task there is; None where the worker ended over it."""
        while True:
            try:
                return self._results(self._submit(piece, left_out))
            except _DiedError:
                return None
            except _LostError:
                self._count_loss(-1)

    def _count_loss(self, number: int) -> None:
        self._job = self._ray.put(self._bare_job)  # what was lost may have been this
        self._losses[number] = self._losses.get(number, 0) + 1
        if self._losses[number] > MOST_LOSSES:
            raise EngineError(f"the Ray cluster lost the same files {MOST_LOSSES} times with their nodes")

    def _results(self, ref: Any) -> list[ChunkResult]:
        """The results of a task that is through; what judging raised is raised."""
        errors = self._ray.exceptions
        try:
            results: list[ChunkResult] = self._ray.get(ref)
        except errors.RayTaskError as error:
            if isinstance(error.cause, MemoryError):
                raise _DiedError from error
            if isinstance(error.cause, errors.ObjectLostError):
                raise _LostError from error
            raise self._explained(error) from error.cause
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            raise _DiedError from error
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            raise _LostError from error
        except errors.RayError as error:
            raise self._explained(error) from error
        return results

    def _explained(self, error: Exception) -> Exception:
        """The error that a node had, or what to do about it."""
        same = f"`pip install sanitize-yolo=={__version__}` on every node"
        if "No module named 'sanitizer'" in str(error):
            return EngineError(f"a node of the Ray cluster has no sanitize: {same}")
        # Another version may not even know what it is handed, and so never come to say which one it is.
        if "No module named 'sanitizer." in str(error) or "on <module 'sanitizer." in str(error):
            return EngineError(f"a node of the Ray cluster has another sanitize: {same}")
        cause = getattr(error, "cause", None)
        if isinstance(cause, Exception) and not isinstance(cause, self._ray.exceptions.RayError):
            return cause
        return EngineError(f"Ray: {first_line(cause or error)}")


def _place_of(dataset: Dataset) -> str | None:
    """The URL of a storage, or the folder that every node must see; None where there is no such folder here either.

    Raises:
        EngineError: No other machine can read there.
    """
    if not dataset.storage.remote:
        return dataset.root if os.path.isdir(dataset.root) else None
    try:
        return cast("RemoteStorage", dataset.storage).address()
    except StorageError as error:
        raise EngineError(f"--engine ray: {error}") from None


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise EngineError(
            "--engine ray needs Ray, which is not installed here: pip install 'sanitize-yolo[ray]'"
        ) from None
    return ray


@contextlib.contextmanager
def connected(add_note: Callable[[str], None]) -> Iterator[Any]:
    """Be connected to a cluster; gives the module `ray`. A connection that was there before stays.

    Raises:
        EngineError: Ray is not installed, or no cluster answers.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody agreed to be counted
    # Ray prints on stdout what becomes of workers, whatever it was told; stdout is the report's.
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        _connect(ray, add_note)
        try:
            yield ray
        finally:
            ray.shutdown()


def _connect(ray: Any, add_note: Callable[[str], None]) -> None:
    """To the cluster of RAY_ADDRESS; without one, to a cluster that runs here, or one that is started for this."""
    address = os.environ.get("RAY_ADDRESS") or "auto"
    try:
        _check_listening(_address_of_this_machine() if address == "auto" else address)
        _init(ray, address=address)
    except Exception as error:
        if address != "auto":
            raise EngineError(
                f"no Ray cluster answers at {address}, the RAY_ADDRESS: {first_line(error)} "
                "(one that wants a token needs RAY_AUTH_MODE=token)"
            ) from error
        if not isinstance(error, ConnectionError):
            raise EngineError(
                f"the Ray cluster that runs here does not answer: {first_line(error)}"
            ) from error
        try:
            _init(ray, address="local", include_dashboard=False)
        except Exception as failure:
            raise EngineError(f"no Ray cluster can be started here: {first_line(failure)}") from failure
        add_note(
            "no Ray cluster runs here and RAY_ADDRESS names none: one was started on this machine for the scan"
        )


def _init(ray: Any, **options: Any) -> None:
    """Connect. What Ray writes past Python onto stderr, a line a try, is not shown: an exception says it better."""
    sys.stderr.flush()
    ours, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(nowhere)


def _address_of_this_machine() -> str:
    """Where the cluster listens, or listened, that `ray start` last began here; "" where there is none."""
    folder = os.environ.get("RAY_TMPDIR") or "/tmp"
    try:
        with open(os.path.join(folder, "ray", "ray_current_cluster"), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _check_listening(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray itself would try for minutes."""
    import socket

    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
