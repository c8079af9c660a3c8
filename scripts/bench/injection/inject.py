"""A working copy of a detection dataset with known label errors in a share of its training images."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from injection.errors import KINDS, NAMES, SWAPPED, Altered, not_covered, swapped
from injection.rows import InjectionError, Page, training_rows
from sanitizer.archives.finding import find_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from injection.rows import Box
    from sanitizer.dataset.model import Dataset

SWAP_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Truth:
    """What was done to one image.

    Attributes:
        kind: One of `errors.NAMES`.
        lines: 1-based numbers of the altered lines in the new label file.
        removed: Boxes taken away: centre and size, normalised.
        uncovered: Boxes of objects that no row fits any more: those removed, those whose row was shifted, and those of
            an image that has the labels of another.
    """

    kind: str
    lines: Sequence[int]
    removed: Sequence[Box]
    uncovered: Sequence[Box] = ()


def inject_once(dataset_dir: str, out_dir: str, seed: int, share: float) -> Injected:
    """The set in `out_dir`, made by `inject` where it is not there yet."""
    if not os.path.exists(os.path.join(out_dir, "truth.json")):
        inject(dataset_dir, out_dir, seed, share)
    return read_injected(out_dir)


def inject(
    dataset_dir: str, out_dir: str, seed: int, share: float = 0.25, kinds: Sequence[str] = NAMES
) -> dict[str, Truth]:
    """Copy the train and val images of a set and alter labels of a share of the former, equally many of each kind.

    The copy has images/train, images/val and the labels beside them, a data.yaml with an absolute path, and a
    truth.json with what is returned. The same arguments give the same labels. Val labels stay as they are.

    Args:
        dataset_dir: Folder with a data.yaml; only read.
        out_dir: Folder to write; must not exist.
        seed: Of all that is drawn.
        share: Of the training images that get an error, rounded down to the same number for each kind.
        kinds: The kinds of error, of `NAMES`; none at all leaves every label as it is.

    Returns:
        Image path relative to `out_dir` to what was done, for altered images only.

    Raises:
        InjectionError: The set is too small, too few images allow a kind, or `out_dir` exists.
    """
    pages = copy_dataset(dataset_dir, out_dir)
    kind_of = choose(pages, share, np.random.default_rng(seed), kinds) if kinds else {}
    truth = alter(pages, kind_of, out_dir, seed)
    # The last file: where it is, the copy is whole.
    with open(os.path.join(out_dir, "truth.json"), "w", encoding="utf-8") as file:
        json.dump({image: asdict(t) for image, t in truth.items()}, file, indent=1)
    return truth


def copy_dataset(dataset_dir: str, out_dir: str) -> dict[str, Page]:
    """Copy the train and val images of a set with their labels, and write a data.yaml with an absolute path.

    Returns:
        The labels of the training images, as `read_pages` reads them.

    Raises:
        InjectionError: The set names no classes, or `out_dir` exists.
    """
    dataset = find_dataset([os.path.join(dataset_dir, "data.yaml")])
    if dataset.nc is None:
        raise InjectionError(f"{dataset.yaml_path}: names no classes")
    if os.path.exists(out_dir):
        raise InjectionError(f"{out_dir} exists already: remove it first, or name another folder")
    os.makedirs(out_dir)
    for split in ("train", "val"):
        copy_split(dataset, split, out_dir)
    names = json.dumps([dataset.names[i] for i in range(dataset.nc)])
    with open(os.path.join(out_dir, "data.yaml"), "w", encoding="utf-8") as file:
        path = json.dumps(os.path.abspath(out_dir))
        file.write(f"path: {path}\ntrain: images/train\nval: images/val\nnames: {names}\n")
    return read_pages(out_dir, dataset.nc)


@dataclass(frozen=True, slots=True)
class Injected:
    """What `inject` wrote.

    Attributes:
        folder: Absolute path.
        truth: Image to what was done, altered images only.
        images: All training images, paths relative to the folder.
        nc: Number of classes.
    """

    folder: str
    truth: Mapping[str, Truth]
    images: Sequence[str]
    nc: int

    def line_chance(self, kind: str) -> float:
        """Chance that a random line of a label file with this kind of error is an altered one, on average."""
        of_kind = [image for image, t in self.truth.items() if t.kind == kind]
        rows = [len(training_rows(label_of(os.path.join(self.folder, image)))) for image in of_kind]
        return float(
            np.mean([len(self.truth[image].lines) / n for image, n in zip(of_kind, rows, strict=True)])
        )

    @property
    def data_yaml(self) -> str:
        """Absolute path of the data.yaml."""
        return os.path.join(self.folder, "data.yaml")


def read_injected(out_dir: str) -> Injected:
    """What `inject` wrote there."""
    folder = os.path.abspath(out_dir)
    with open(os.path.join(folder, "truth.json"), encoding="utf-8") as file:
        truth = {image: Truth(**record) for image, record in json.load(file).items()}
    nc = find_dataset([os.path.join(folder, "data.yaml")]).nc
    assert nc is not None
    return Injected(folder, truth, train_images(folder), nc)


def train_images(out_dir: str) -> list[str]:
    """The training images of a copy, in the order of their names."""
    return [f"images/train/{name}" for name in sorted(os.listdir(os.path.join(out_dir, "images/train")))]


def copy_split(dataset: Dataset, name: str, out_dir: str) -> None:
    """Copy the images of one split, and their labels byte for byte."""
    images, labels = (os.path.join(out_dir, kind, name) for kind in ("images", "labels"))
    os.makedirs(images)
    os.makedirs(labels)
    for split in (s for s in dataset.splits if s.name == name):
        for i in np.flatnonzero(split.has_image).tolist():
            source = split.image_path(i)
            assert source is not None
            target = os.path.join(images, os.path.basename(source))
            if os.path.exists(target):
                raise InjectionError(f"{source}: another image of the {name} split has the same name")
            shutil.copyfile(source, target)
            label = split.label_path(i)
            if label is not None:
                shutil.copyfile(label, label_of(target))


def label_of(image: str) -> str:
    """The label file of an image in the copy."""
    before, _, after = image.rpartition("images/")
    return f"{before}labels/{os.path.splitext(after)[0]}.txt"


def read_pages(out_dir: str, nc: int) -> dict[str, Page]:
    """Image path relative to the copy to its labels, for all training images in the order of their names."""
    pages = {}
    for image in train_images(out_dir):
        path = os.path.join(out_dir, image)
        with Image.open(path) as opened:
            width, height = opened.size
        label = label_of(path)
        pages[image] = Page.read(label if os.path.exists(label) else None, width, height, nc)
    return pages


def choose(
    pages: Mapping[str, Page], share: float, random: np.random.Generator, kinds: Sequence[str] = NAMES
) -> dict[str, str]:
    """Image to the kind of error it gets. The kind that the fewest images allow chooses first."""
    count = int(len(pages) * share) // len(kinds)
    if count < 2:
        raise InjectionError(
            f"{len(pages)} training images: a share of {share} gives no two images for each of {len(kinds)} kinds"
        )
    possible = {kind.name: [image for image, page in pages.items() if kind.possible(page)] for kind in KINDS}
    possible[SWAPPED] = [image for image, page in pages.items() if page.rows]
    possible = {kind: images for kind, images in possible.items() if kind in kinds}
    kind_of: dict[str, str] = {}
    for kind in sorted(possible, key=lambda k: (len(possible[k]), NAMES.index(k))):
        free = [image for image in possible[kind] if image not in kind_of]
        if len(free) < count:
            raise InjectionError(f"{kind}: only {len(free)} images allow it, and {count} are wanted")
        kind_of.update((free[i], kind) for i in draw(free, count, kind, pages, random))
    return kind_of


def draw(
    free: Sequence[str], count: int, kind: str, pages: Mapping[str, Page], random: np.random.Generator
) -> list[int]:
    """Numbers of `count` images; for the swap such that labels can go round among them."""
    for _ in range(SWAP_DRAWS):
        numbers: list[int] = random.choice(len(free), count, replace=False).tolist()
        if kind != SWAPPED or swapped([pages[free[i]] for i in numbers], random):
            return numbers
    raise InjectionError(
        f"{kind}: in {SWAP_DRAWS} draws there were always two images with much the same labels"
    )


def alter(pages: Mapping[str, Page], kind_of: Mapping[str, str], out_dir: str, seed: int) -> dict[str, Truth]:
    """Write the altered label files. Each image has random numbers of its own."""
    make = {kind.name: kind.make for kind in KINDS}
    altered = {
        image: make[kind_of[image]](page, np.random.default_rng((seed, number)))
        for number, (image, page) in enumerate(pages.items())
        if kind_of.get(image, SWAPPED) != SWAPPED
    }
    random = np.random.default_rng((seed, len(pages)))
    to_swap = [image for image, kind in kind_of.items() if kind == SWAPPED]
    altered |= swap(to_swap, pages, random) if to_swap else {}
    for image, new in altered.items():
        with open(label_of(os.path.join(out_dir, image)), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in new.lines)
    return {
        image: Truth(kind_of[image], altered[image].altered, altered[image].removed, altered[image].uncovered)
        for image in sorted(kind_of)
    }


def swap(images: Sequence[str], pages: Mapping[str, Page], random: np.random.Generator) -> dict[str, Altered]:
    """Each of these images with the labels of another of them."""
    donors = None
    while donors is None:  # `choose` took images for which there is a way
        donors = swapped([pages[image] for image in images], random)
    new_pages = [pages[images[donor]] for donor in donors]
    return {
        image: Altered(
            new.lines,
            list(range(1, len(new.lines) + 1)),
            uncovered=not_covered(pages[image].rows, new.rows),
        )
        for image, new in zip(images, new_pages, strict=True)
    }
