"""A short plain training run on an injected set: Ultralytics' own trainer, at the probe's learning rate."""

from __future__ import annotations

import glob
import os
import shutil


def train(work_dir: str, weights: str, seed: int, epochs: int = 4, imgsz: int = 320, batch: int = 16) -> str:
    """Train on `work_dir`/data.yaml from published weights, on the CPU; keep `work_dir`/last.pt.

    The learning rate and the steps are those of the probe's warm-up (`FINE_TUNING`); all else is
    Ultralytics' default. Nothing is done where last.pt is there already.

    Returns:
        Path of the weights (Ultralytics' last.pt: EMA, half precision).
    """
    work_dir = os.path.abspath(
        work_dir
    )  # a relative project would be put under the trainer's own runs folder
    last = os.path.join(work_dir, "last.pt")
    if os.path.exists(last):
        return last
    from ultralytics.models.yolo.model import YOLO

    from sanitizer.probe.probing import FINE_TUNING

    run = os.path.join(work_dir, "run")
    YOLO(weights).train(
        data=os.path.join(work_dir, "data.yaml"),
        epochs=epochs,
        imgsz=imgsz,
        batch=batch,
        nbs=batch,
        warmup_epochs=1,
        **FINE_TUNING,
        seed=seed,
        device="cpu",
        workers=0,
        val=False,
        plots=False,
        project=work_dir,
        name="run",
        exist_ok=True,
    )
    for cache in glob.glob(os.path.join(glob.escape(work_dir), "labels", "*.cache")):
        os.remove(cache)  # a scan would report it
    shutil.move(os.path.join(run, "args.yaml"), os.path.join(work_dir, "train_args.yaml"))
    os.replace(os.path.join(run, "weights", "last.pt"), last)
    shutil.rmtree(run)
    return last
