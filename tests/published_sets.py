"""Where the published datasets lie, and the names of those that tests scan whole."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = os.environ.get("SANITIZE_TEST_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
"""No folder where nobody has them, or where the variable is empty: tests that need them skip."""

PUBLISHED_SETS = (
    "bccd",
    "crackseg_test_labels",
    "dronetraffic",
    "lfs_pointers20",
    "ltvideo12_pose",
    "mcore14_obb",
    "neudet600",
    "nuinsseg18_seg",
    "ships_dirty",
    "ultralytics_coco8",
    "ultralytics_coco8-pose",
    "ultralytics_coco8-seg",
    "ultralytics_dota8",
    "visdrone_val_labels",
)
