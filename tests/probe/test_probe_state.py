"""The state of a probe lies in a folder that may have come with a dataset: nothing in it is believed or followed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from strange_files import STRANGE, put, within

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from sanitizer.probe.doubt.features import FEATURES, RowFeatures  # noqa: E402
from sanitizer.probe.gradients.measured import Measured  # noqa: E402
from sanitizer.probe.gradients.signals import ImageSignals  # noqa: E402
from sanitizer.probe.state import ProbeState  # noqa: E402
from sanitizer.train.clipped_step import StepRecord  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.probe

STEP = StepRecord(0, 0, 1.5, {"box": 1.0}, 2.0, 10.0, 1.0, 0.01, None, False, ("a.jpg",))
FILES = ("state.key", "state.pt", "state.steps", "state.jsonl")
KINDS = [kind for kind in STRANGE if kind != "link to a device"]


def kept(folder: Path) -> torch.nn.Module:
    """A state of a run with one step and two measured images; gives the network that was kept."""
    network = torch.nn.Linear(3, 2)
    state = ProbeState(str(folder), "abc", resume=False, n_rows=[2] * 4)
    state.save_warm_up(network, [STEP])
    state.keep([Measured(0, 0, {"box": 1.0}), Measured(3, 0)])
    return network


def test_a_state_is_taken_up(tmp_path: Path) -> None:
    network = kept(tmp_path)
    state, other = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4), torch.nn.Linear(3, 2)
    assert state.load_weights(other)
    assert torch.equal(other.weight, network.weight)
    assert state.steps() == [STEP]
    assert sorted(state.measured()) == [0, 3]
    state.keep([Measured(1, 1)])
    assert sorted(ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4).measured()) == [0, 1, 3]


def test_a_state_of_something_else_is_not(tmp_path: Path) -> None:
    kept(tmp_path)
    state = ProbeState(str(tmp_path), "abd", resume=True, n_rows=[2] * 4)
    assert not state.load_weights(torch.nn.Linear(3, 2))
    assert state.measured() == {}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("gone", "folder")])
@pytest.mark.parametrize("name", FILES)
def test_what_stands_in_the_place_of_a_file_of_a_state_is_no_state(
    tmp_path: Path, name: str, kind: str
) -> None:
    kept(tmp_path)
    put(kind, tmp_path / name)
    with within(10):
        state = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4)
        if state.load_weights(torch.nn.Linear(3, 2)):
            assert (name, kind) == ("state.jsonl", "sparse file of 64 GB")
        assert state.measured() == {}
        state.save_warm_up(torch.nn.Linear(3, 2), [STEP])
        if not (tmp_path / "state.jsonl").exists():
            state.keep([Measured(1, 0)])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_in_the_place_of_a_file_ends_no_run(tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    state = ProbeState(str(tmp_path), "abc", resume=resume, n_rows=[2] * 4)
    assert state.notes == [f"the run cannot be resumed: {tmp_path / name} is a folder, so no state is kept"]
    state.save_warm_up(torch.nn.Linear(3, 2), [STEP])
    state.keep([Measured(1, 0)])
    assert not state.load_weights(torch.nn.Linear(3, 2))
    assert state.measured() == {}
    assert (tmp_path / name / "mine").exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("resume", [True, False])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str, resume: bool) -> None:
    kept(tmp_path / "out")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / name).symlink_to(tmp_path / "mine")
    state = ProbeState(str(tmp_path / "out"), "abc", resume=resume, n_rows=[2] * 4)
    state.save_warm_up(torch.nn.Linear(3, 2), [STEP])
    state.keep([Measured(1, 0)])
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"PK\x03\x04" + b"\0" * 99, b"\x80\x02" + b"(" * 100_000 + b"."]
)
def test_weights_that_are_none_begin_the_state_anew(tmp_path: Path, content: bytes) -> None:
    kept(tmp_path)
    (tmp_path / "state.pt").write_bytes(content)
    state = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4)
    assert not state.load_weights(torch.nn.Linear(3, 2))
    assert (state.steps(), state.measured()) == ([], {})


def test_weights_of_another_shape_begin_the_state_anew(tmp_path: Path) -> None:
    kept(tmp_path)
    state, network = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4), torch.nn.Linear(5, 2)
    before = network.weight.clone()
    assert not state.load_weights(network)
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[" * 200_000,
        b"5",
        b"{}",
        b'{"index": 1}',
        b'{"index": "1", "signals": null, "row_share": [], "place": null}',
    ],
)
def test_a_line_that_makes_no_sense_is_left_out(tmp_path: Path, line: bytes) -> None:
    kept(tmp_path)
    path = tmp_path / "state.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    state = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4)
    assert sorted(state.measured()) == [0, 3]


def test_images_that_the_run_has_not_are_left_out(tmp_path: Path) -> None:
    kept(tmp_path)
    assert sorted(ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 3).measured()) == [0]
    record = json.loads((tmp_path / "state.jsonl").read_text().splitlines()[0]) | {"index": -1}
    (tmp_path / "state.jsonl").write_text(json.dumps(record) + "\n")
    assert ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 3).measured() == {}


def whole_measurement() -> Measured:
    """Of an image with two rows, of which the loss used the first, and one predicted object."""
    first = np.array([0.5, np.nan])
    one = np.array([0.5])
    signals = ImageSignals(
        first, first, np.array([1, -1]), first, first, np.array([2.0, 0.0]),
        one, np.array([1]), one, one, np.full((1, 4), 0.5),
    )  # fmt: skip
    values = np.full((2, len(FEATURES)), 0.5)
    values[0, -1] = np.nan
    features = RowFeatures(np.array([0, 1]), np.zeros(2, np.int64), np.array([0, 1]), values)
    return Measured(
        0, 0, {"box": 1.0}, 1.0, 1.0, 1.0, np.zeros(2), 0.5, (0.5, 0.5), signals, features, np.ones(4)
    )


def test_a_whole_measurement_is_read_as_it_was_kept(tmp_path: Path) -> None:
    kept(tmp_path)
    ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4).keep([whole_measurement()])
    read = ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4).measured()[0]
    for mine, theirs in (
        (whole_measurement().signals, read.signals),
        (whole_measurement().features, read.features),
    ):
        for name in mine.__dataclass_fields__:  # type: ignore[union-attr]
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert read.place == (0.5, 0.5)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("features",), ...),  # of a version that had no such field
        (("signals", "object_touch"), ...),
        (("features",), None),
        (("features", "row"), [0, 2]),
        (("features", "row"), [-1, 0]),
        (("features", "kind"), [0, 9]),
        (("features", "kind"), [0, 0]),
        (("features", "class_id"), [0, -1]),
        (("features", "class_id"), [0, 10**30]),
        (("features", "values"), [[0.5] * len(FEATURES)]),
        (("features", "values"), [[float("nan")] * len(FEATURES)] * 2),
        (("features", "values"), [[1e300] * len(FEATURES)] * 2),
        (("signals", "support"), [0.5]),
        (("signals", "support"), [0.5, "x"]),
        (("signals", "object_score"), [float("nan")]),
        (("signals", "object_score"), [0.5] * 3),
        (("signals", "object_xywh"), [[0.5] * 5]),
        (("signals", "weight"), [float("inf"), 0.0]),
        (("look",), [[1.0], [2.0]]),
        (("look",), [float("nan")]),
        (("look",), [1e300]),
        (("row_share",), [0.0]),
        (("place",), [0.5]),
        (("place",), 5),
        (("loss",), {"box": "much"}),
        (("grad_norm",), None),
        (("batch",), 1.5),
        (("not_finite",), "everything"),
        (("bad_row",), 2),
        (("unreadable",), 3),
        (("more",), 1),
    ],
)
def test_a_measurement_that_cannot_be_is_left_out(tmp_path: Path, path: tuple[str, ...], value: Any) -> None:
    kept(tmp_path)
    lines = tmp_path / "state.jsonl"
    ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4).keep([whole_measurement()])
    record = json.loads(lines.read_text().splitlines()[-1])
    *above, name = path
    part = record
    for key in above:
        part = part[key]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    lines.write_text(json.dumps(record) + "\n")
    assert ProbeState(str(tmp_path), "abc", resume=True, n_rows=[2] * 4).measured() == {}
