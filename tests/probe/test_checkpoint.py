"""Weights: ordinary ones are read without being loaded, all others are refused in one sentence before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from hostile_models import (  # noqa: E402
    CHECKPOINTS,
    small_model,
    write_broken_archives,
    write_checkpoints,
)
from ultralytics.utils import IterableSimpleNamespace  # noqa: E402

from sanitizer.dataset.tables import TaskSpec  # noqa: E402
from sanitizer.ultra.checkpoint import read_checkpoint  # noqa: E402
from sanitizer.ultra.model import ModelError, build_model, check_model_file  # noqa: E402

pytestmark = pytest.mark.probe
SPEC = TaskSpec("detect", 2, {0: "a", 1: "b"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_weights_that_would_do_more_than_be_loaded_are_refused(folder: Path) -> None:
    for name, said in write_checkpoints(folder).items():
        with pytest.raises(ModelError) as refused:
            build_model(name, SPEC)
        sentence = str(refused.value)
        assert sentence.startswith(name), sentence
        assert said in sentence
        assert "\n" not in sentence
        assert not (folder / "HARM").exists(), name
        with pytest.raises(ModelError):
            check_model_file(name)
    assert len(CHECKPOINTS) > 10


def test_files_that_are_no_checkpoint_are_refused_soon(folder: Path) -> None:
    for name, said in write_broken_archives(folder).items():
        with pytest.raises(ModelError) as refused:
            build_model(name, SPEC)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not (folder / "HARM").exists(), name


@pytest.mark.parametrize("name", ["fifo.pt", "device.pt", "folder.pt", "gone.pt"])
def test_trust_waits_for_no_special_file(name: str, folder: Path) -> None:
    write_broken_archives(folder)
    with pytest.raises(ModelError, match=r"no regular file|no such file"):
        build_model(name, SPEC, trust_weights=True)
    with pytest.raises(ModelError, match=r"no regular file|no such file"):
        check_model_file(name, trust_weights=True)


def test_a_checkpoint_of_a_run_is_read(folder: Path) -> None:
    model = small_model()
    model.args = IterableSimpleNamespace(imgsz=64, task="detect")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    content = {
        "epoch": 3,
        "ema": model.half(),
        "model": None,
        "optimizer": optimizer.state_dict(),
        "train_args": {"imgsz": 64, "data": "data.yaml"},
        "train_results": {"loss": [1.0, 2.0]},
        "path": Path("x/y"),
    }
    torch.save(content, "last.pt")
    checkpoint = read_checkpoint("last.pt")
    assert checkpoint.arguments == {"imgsz": 64, "data": "data.yaml"}
    assert checkpoint.model_yaml is not None
    assert checkpoint.model_yaml["nc"] == 2
    built = build_model("last.pt", SPEC)
    assert torch.equal(
        built.state_dict()["model.0.conv.weight"], model.float().state_dict()["model.0.conv.weight"]
    )


def test_published_weights_pass(shared_data: Path) -> None:
    for path in sorted((shared_data / "weights").glob("*.pt")):
        assert read_checkpoint(str(path)).model_yaml is not None


def test_plain_tensors_are_no_model(folder: Path) -> None:
    torch.save(small_model().state_dict(), "state.pt")
    torch.save(small_model(), "whole.pt")
    for name in ("state.pt", "whole.pt"):
        assert read_checkpoint(name).model_yaml is None
        for trust in (False, True):
            with pytest.raises(ModelError, match="holds no Ultralytics model"):
                build_model(name, SPEC, trust_weights=trust)
