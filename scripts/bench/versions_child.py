"""What the Ultralytics on PYTHONPATH does with image/label pairs: JSON in, one line of JSON out. See versions.py."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any


def bare_package(name: str, folder: Path, **attributes: str) -> None:
    """Put a package into `sys.modules` without running its `__init__`, which in old versions needs further packages."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    vars(package).update(attributes)
    sys.modules[name] = package


found = importlib.util.find_spec("ultralytics")
assert found is not None and found.submodule_search_locations is not None
ROOT = Path(next(iter(found.submodule_search_locations)))
bare_package("ultralytics", ROOT, __version__=ROOT.parent.name)
bare_package("ultralytics.data", ROOT / "data")
utils = importlib.import_module("ultralytics.data.utils")


def judge(
    keypoint: bool, nc: int | None, n_keypoints: int, dimensions: int, image: str, label: str
) -> list[Any]:
    """[dropped, background, rows kept]; an image that is not listed is dropped too."""
    if Path(image).suffix[1:].lower() not in utils.IMG_FORMATS:
        return [True, False, []]
    arguments = (image, label, "", keypoint, float("inf") if nc is None else nc, n_keypoints, dimensions)
    try:
        result = utils.verify_image_label((*arguments, False))
    except ValueError:  # versions before `single_cls`
        result = utils.verify_image_label(arguments)
    kept, rows = result[0], result[1]
    n_missing, n_empty = result[5], result[7]
    if kept is None:
        return [True, False, []]
    return [False, bool(n_missing or n_empty), sorted(rows.tolist())]


def main() -> None:
    """Judge every pair of stdin."""
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    print(json.dumps([judge(*pair) for pair in asked]))


if __name__ == "__main__":
    main()
