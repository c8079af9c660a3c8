"""Names of the published datasets that tests scan whole."""

from __future__ import annotations

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
