"""Ultralytics' own label scan over a dataset made by make_dataset.py. Prints the scan's seconds, without imports.

Its label cache is not written: the dataset stays as it is, and the time is a little to its favour.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import ultralytics.data.dataset as ultralytics_dataset
import yaml


class TimedDataset(ultralytics_dataset.YOLODataset):
    """Prints how long reading and checking of images and labels took."""

    def cache_labels(self, path: Path = Path("labels.cache")) -> Any:
        """As in the parent, timed."""
        start = time.perf_counter()
        labels = super().cache_labels(path)
        print(time.perf_counter() - start)
        return labels


def main() -> None:
    """Scan the first N images of the dataset."""
    folder, n_images = Path(sys.argv[1]), int(sys.argv[2])
    data = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    vars(ultralytics_dataset)["save_dataset_cache_file"] = lambda *_: None
    folders = [str(folder / data[split]) for split in ("train", "val")]
    TimedDataset(img_path=folders, data=data, task="detect", augment=False, fraction=n_images)


if __name__ == "__main__":
    main()
