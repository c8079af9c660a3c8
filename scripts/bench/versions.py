"""Compare, version by version of Ultralytics, what we say of label files and images with what its loader does.

    python scripts/bench/versions.py FOLDER [VERSION…] [--files 2000] [--install]

FOLDER holds each version in a folder of its own name, as `pip install --no-deps --target FOLDER/8.3.200
ultralytics==8.3.200` leaves it; --install does this for versions that are not there. Compared are: dropped, background,
and the rows kept, for generated label files of every task and for one image of each format. The exit status is 1 where
anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from sanitizer.dataset.tables import Chunk, ChunkTables, TaskSpec  # noqa: E402
from sanitizer.images.image_files import read_images  # noqa: E402
from sanitizer.labels.label_files import read_labels  # noqa: E402
from sanitizer.ultra.label_check import verdicts  # noqa: E402
from sanitizer.ultra.samples import samples_of  # noqa: E402
from sanitizer.ultra.versions import behaviour_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSIONS = (
    *("8.0.239", "8.1.47", "8.2.103", "8.3.40", "8.3.100", "8.3.200", "8.3.252", "8.4.0", "8.4.50", "8.4.90"),
    *("8.4.130", "8.4.160", "8.4.175", "8.4.190"),
)
Verdict = list[Any]
"""[dropped, background, rows as lists of class and box]; the rows of a dropped image are []."""

CHILD = Path(HERE, "versions_child.py")


def main() -> int:
    """Compare every version, print a line for each, and the first differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--files", type=int, default=2000, help="generated label files for each version")
    parser.add_argument("--install", action="store_true", help="install versions that FOLDER lacks")
    args = parser.parse_args()
    contents = generated(args.files)
    n_different = 0
    for version in args.versions:
        target = args.folder / version
        if args.install and not target.is_dir():
            install(version, target)
        with tempfile.TemporaryDirectory() as work:
            cases = write_cases(Path(work), contents)
            different, n_dropped = compare(version, target, cases, work)
        n_different += len(different)
        n_cases = sum(len(labels) for _, _, labels in cases)
        print(
            f"{version}: {len(different)} differences in {n_cases:,} files, of which {n_dropped:,} are dropped"
        )
        for line in different[:10]:
            print(f"  {line}")
    return int(n_different > 0)


def install(version: str, target: Path) -> None:
    """One version and nothing that it depends on."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    subprocess.run([*command, f"ultralytics=={version}"], check=True)


def generated(n_files: int) -> Mapping[str, list[bytes]]:
    """Name of a task in `SPECS` to label files that are mostly right but for a spot; always the same ones."""
    from task_specs import SPECS

    each = -(-n_files // len(SPECS))
    return {name: generated_for(spec, each) for name, spec in SPECS.items()}


def generated_for(spec: TaskSpec, n_files: int) -> list[bytes]:
    """Label files of one task."""
    from hostile_labels import label_files
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    at_once = 25
    contents: list[bytes] = []

    @seed(0)
    @settings(
        max_examples=4 * -(-n_files // at_once) + 2,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(label_files(spec), min_size=at_once, max_size=at_once))
    def collect(files: list[bytes]) -> None:
        contents.extend(files)

    collect()
    return list(dict.fromkeys(contents))[:n_files]


Case = tuple[TaskSpec, list[str], list[str]]
"""(task, image files, their label files)."""


def write_cases(folder: Path, contents: Mapping[str, Sequence[bytes]]) -> list[Case]:
    """The files to compare: generated labels beside a good image, and images of each format beside a good label."""
    from task_specs import SPECS

    good = folder / "good.bmp"
    Image.new("RGB", (12, 12)).save(good)
    cases: list[Case] = []
    for name, files in contents.items():
        labels = []
        for number, content in enumerate(files):
            path = folder / f"{len(cases)}-{number}.txt"
            path.write_bytes(content)
            labels.append(str(path))
        cases.append((SPECS[name], [str(good)] * len(labels), labels))
    images = write_images(folder)
    (folder / "box.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return [*cases, (SPECS["detect"], images, [str(folder / "box.txt")] * len(images))]


FORMATS = ("jpg", "jpeg", "mpo", "png", "bmp", "webp", "tif", "tiff", "gif", "avif", "jp2", "ppm", "ico")


def write_images(folder: Path) -> list[str]:
    """A good image of each format that Pillow writes, and bad ones."""
    picture = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    paths = []
    for extension in FORMATS:
        path = folder / f"picture.{extension}"
        try:
            picture.save(path)
        except (OSError, KeyError, ValueError):  # a format that this Pillow does not write
            continue
        paths.append(str(path))
    Image.new("RGB", (9, 40)).save(folder / "narrow.png")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (folder / "tail.jpg").write_bytes((folder / "picture.jpg").read_bytes() + b"\0\0")
    (folder / "cut.jpg").write_bytes((folder / "picture.jpg").read_bytes()[:300])
    (folder / "other-name.jpg").write_bytes((folder / "picture.png").read_bytes())
    bad = ("narrow.png", "empty.jpg", "text.png", "tail.jpg", "cut.jpg", "other-name.jpg")
    return [*paths, *(str(folder / name) for name in bad)]


def compare(version: str, target: Path, cases: Sequence[Case], work: str) -> tuple[list[str], int]:
    """(a line for each file that we judge otherwise, number of files that Ultralytics drops)."""
    ours = [verdict for case in cases for verdict in our_verdicts(case, version)]
    theirs = their_verdicts(cases, target, work)  # after ours: it writes broken JPEGs anew
    files = [
        (image, label) for _, images, labels in cases for image, label in zip(images, labels, strict=True)
    ]
    different = [
        f"{Path(image).name} {Path(label).read_bytes()!r}: we say {our}, Ultralytics {their}"
        for (image, label), our, their in zip(files, ours, theirs, strict=True)
        if our != their
    ]
    return different, sum(their[0] for their in theirs)


def our_verdicts(case: Case, version: str) -> list[Verdict]:
    """What we say of a case's files."""
    from dataclasses import replace

    spec, images, labels = case
    spec = replace(spec, behaviour=behaviour_of(version))
    chunk = Chunk("train", images, labels)
    tables = ChunkTables(chunk, read_labels(labels, spec), read_images(images, "decode"))
    result = verdicts(tables.labels, tables.images, spec)
    rows: dict[tuple[str, str | None], list[list[float]]] = {}
    for sample in samples_of(tables, spec):
        kept = np.concatenate([sample.class_id, sample.xywh], axis=1)
        rows[sample.image, sample.label] = sorted(kept.tolist())
    return [
        [dropped, background, [] if dropped else rows.get((image, label), [])]
        for image, label, dropped, background in zip(
            images, labels, result.dropped.tolist(), result.background.tolist(), strict=True
        )
    ]


def their_verdicts(cases: Sequence[Case], target: Path, work: str) -> list[Verdict]:
    """What the loader of the version in `target` does with the files, in a process of its own."""
    asked = [
        [spec.task == "pose", spec.nc, *spec.kpt_shape, image, label]
        for spec, images, labels in cases
        for image, label in zip(images, labels, strict=True)
    ]
    settings = {
        "YOLO_CONFIG_DIR": work,
        "YOLO_VERBOSE": "False",
        "YOLO_AUTOINSTALL": "False",
        "YOLO_OFFLINE": "True",
    }
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        input=json.dumps(asked),
        env={**os.environ, **settings, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{target}: {done.stderr[-2000:]}")
    verdicts_: list[Verdict] = json.loads(done.stdout.splitlines()[-1])
    return verdicts_


if __name__ == "__main__":
    sys.exit(main())
