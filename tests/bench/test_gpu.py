"""The prepared script for a GPU says when there is none, and its smallest run goes through every part on a CPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

import gpu  # noqa: E402
import train_cost  # noqa: E402

pytestmark = pytest.mark.probe


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(gpu.__file__)), *arguments])
    gpu.main()


def test_without_cuda_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"no CUDA device is there: .* try the script with --quick"):
        call(monkeypatch, "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.ultralytics
def test_the_smallest_run_fills_every_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def here(trainer: str, data: str, args: Any) -> Any:
        return train_cost.train(trainer, data, args)  # a process for each would take longer than its epochs

    monkeypatch.setattr(train_cost, "run_child", here)
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    call(monkeypatch, "--quick", "--output", str(tmp_path))
    (page,) = tmp_path.glob("gpu-*.md")
    text = page.read_text()
    assert "| yolov8n.yaml | 2 | on |" in text and "| yolov8n.yaml | 2 | off |" in text
    assert "| sound | 0 of 2 | 0 |" in text and "| overflows float16 | 2 of 2 | 0 |" in text
    assert all(f"| {name} | " in text for name in train_cost.TRAINERS)
    assert "| thin | hot | 10 | " in text


def test_the_cost_is_a_ratio_of_the_same_round() -> None:
    epochs = {
        train_cost.ULTRALYTICS: [[(2.0, 1.0), (2.0, 1.0)], [(4.0, 2.0)]],
        train_cost.CLIPPED: [[(2.0, 1.5), (4.0, 1.5)], [(4.0, 2.0)]],
    }
    args = train_cost.argparse.Namespace(epochs=4, rounds=2, imgsz=64, batch=2, spike_every=5)
    text = train_cost.report(epochs, [[1, 3], [2, 4]], args)
    assert "| ClippedTrainer | 1.75 | 1.250 (1.000–1.500) | 3.50 | 1.250 (1.000–1.500) |" in text
    assert "3 of 7 rows of spikes.csv have a share" in text
