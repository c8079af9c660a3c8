"""Semantic sets: pairs images with their masks by name, as Ultralytics' SemanticDataset does.

In the path of an image, `images/` becomes `masks_dir:` of the data.yaml, and the file extension .png, or else any other
that an image may have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.listing import IMAGE_EXTENSIONS
from sanitizer.dataset.model import DatasetError, Split
from sanitizer.dataset.tables import dataset_fault
from sanitizer.dataset.tasks.declared import declared_task
from sanitizer.dataset.tasks.mask_table import IGNORED_ID
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.listing import Listing
    from sanitizer.dataset.split_images import SplitImages
    from sanitizer.dataset.tables import DatasetFault
    from sanitizer.dataset.tasks.declared import TaskChoice

MASK_SUFFIX = ".png"
_USUAL_FOLDER = "masks"
_MAX_MAPPED = 100_000


def is_semantic(document: DataYaml, wanted: TaskChoice, root: str, listing: Listing) -> bool:
    """Whether a data.yaml describes a semantic set, as far as the user names no other task.

    `masks_dir:` alone says so, but for a set that has a folder of labels and no such folder of masks.
    """
    if wanted != "auto":
        return wanted == "semantic"
    declared, folder = declared_task(document), document.data.get("masks_dir")
    if declared is not None or not folder:
        return declared == "semantic"
    is_folder = listing.storage.isdir
    return is_folder(f"{root}/{folder}") or not is_folder(f"{root}/labels")


def mask_pairer(document: DataYaml, root: str, listing: Listing) -> MaskPairer:
    """The pairer of images with the masks of a data.yaml.

    Raises:
        DatasetError: There are no masks: training would draw them from polygons, which is not judged as such.
    """
    value = document.data.get("masks_dir")
    if value:
        return MaskPairer(listing, root, str(value))
    if listing.storage.isdir(f"{root}/{_USUAL_FOLDER}"):
        return MaskPairer(listing, root, _USUAL_FOLDER)
    raise DatasetError(
        f"{shown(document.path)} has no `masks_dir:` and no folder {_USUAL_FOLDER}/: training would draw the masks from"
        " polygons in label files; --task segment judges those"
    )


def read_label_mapping(document: DataYaml, faults: list[DatasetFault]) -> dict[int, int]:
    """`label_mapping:` of a data.yaml as training reads it; what ends training is added to the faults (D003)."""
    value = document.data.get("label_mapping")
    if value is None:
        return {}
    line = document.line("label_mapping")
    if not isinstance(value, dict) or len(value) > _MAX_MAPPED:
        detail = (
            f"`label_mapping:` is a {type(value).__name__}, not one `id: class` a line; training stops here"
        )
        faults.append(_mapping_fault(document, detail, line))
        return {}
    mapping: dict[int, int] = {}
    for key, target in value.items():
        try:
            source, goal = int(key), _target(target)
        except (TypeError, ValueError, OverflowError):
            source = goal = -1
        if not 0 <= goal <= IGNORED_ID:
            written = f"{shown(str(key)[:40])}: {shown(str(target)[:40])}"
            detail = f"`label_mapping` has {written}, which is no id and a class from 0 to 255; training stops here"
            faults.append(_mapping_fault(document, detail, document.line("label_mapping", key)))
            break
        if 0 <= source <= IGNORED_ID:  # other ids are in no mask
            mapping[source] = goal
    return mapping


def _target(value: object) -> int:
    if value is None or (isinstance(value, str) and value.strip() == "ignore_label"):
        return IGNORED_ID
    return int(value)  # type: ignore[call-overload, no-any-return]


def _mapping_fault(document: DataYaml, detail: str, line: int | None) -> DatasetFault:
    advice = "Write the id in the masks, a colon, and the class id or ignore_label."
    return dataset_fault(
        "D003", detail, advice, Severity.ERROR, file=document.path, line=line, stops_with=detail
    )


def mask_folder_of(image_folder: str, masks_dir: str) -> str:
    """Where training looks for the masks of a folder's images: the last /images/ becomes the folder of the masks."""
    return f"/{masks_dir}/".join(f"{image_folder}/".rsplit("/images/", 1))[:-1]


@dataclass(slots=True)
class MaskPairer:
    """Pairs the images of all splits with their masks. `faults` has M001 and M008."""

    listing: Listing
    root: str
    masks_dir: str
    faults: list[DatasetFault] = field(default_factory=list)

    def pair(self, splits: Sequence[SplitImages]) -> list[Split]:
        """Splits of images and masks."""
        return [self._pair(split) for split in splits]

    def _pair(self, split: SplitImages) -> Split:
        images = split.images
        folders = [mask_folder_of(folder, self.masks_dir) for folder in images.folders]
        names = [frozenset(self._names_in(folder)) for folder in folders]
        has, odd = np.zeros(len(images.names), np.bool_), dict[int, str]()
        for i, (f, name) in enumerate(zip(images.folder_index, images.names, strict=True)):
            # Without a folder images/ in its path, an image would be its own mask.
            mask = _mask_name(name, names[f]) if folders[f] != images.folders[f] else None
            has[i] = mask is not None
            if mask is not None and not mask.endswith(MASK_SUFFIX):
                odd[i] = mask
        self._report(split, folders, has)
        table = Split.build(
            split.name, images.folders, folders, np.array(images.folder_index, np.int32), images.names,
            np.ones(len(has), np.bool_), has, odd,
        )  # fmt: skip
        return replace(table, label_suffix=MASK_SUFFIX)

    def _names_in(self, folder: str) -> Sequence[str]:
        found = self.listing.folder(folder)
        return [*found.images, *found.hidden_images]

    def _report(self, split: SplitImages, folders: Sequence[str], has: NDArray[np.bool_]) -> None:
        """M008 for a split without any mask, else M001 for each image."""
        images = split.images
        if len(has) and not has.any():
            self.faults.append(self._none_at_all(split, folders))
            return
        for i in np.flatnonzero(~has).tolist():
            f, name = images.folder_index[i], images.names[i]
            path = f"{images.folders[f]}/{name}"
            wanted = f"{name[: name.rindex('.')]}{MASK_SUFFIX}"
            near = next((n for n in self._names_in(folders[f]) if n.lower() == wanted.lower()), None)
            detail = f"no mask {shown(wanted)} in {self._show(folders[f])}: training drops the image"
            detail += f" ({shown(near)} differs in upper and lower case only)" if near else ""
            advice = (
                f"Rename {shown(near)} to {shown(wanted)}." if near else "Add the mask, or remove the image."
            )
            self.faults.append(dataset_fault("M001", detail, advice, file=path, image=path, split=split.name))

    def _none_at_all(self, split: SplitImages, folders: Sequence[str]) -> DatasetFault:
        n, folder, image_folder = len(split.images.names), folders[0], split.images.folders[0]
        example = self._names_in(folder)[:1]
        wanted = f"{split.images.names[0].rpartition('.')[0]}{MASK_SUFFIX}"
        if folder == image_folder:
            why = "as no folder above the images is called images, training takes each image for its own mask"
            advice = f"Put the images below images/ and the masks below {self.masks_dir}/, with the same subfolders."
        elif not self.listing.storage.isdir(folder):
            why = f"there is no folder {self._show(folder)}"
            advice = "Correct `masks_dir:`: it takes the place of images in the paths of the images."
        elif example:
            why = f"{self._show(folder)} holds {shown(example[0])} and the like, and training looks for {shown(wanted)}"
            advice = "Give each mask the name of its image, with the file extension .png."
        else:
            why, advice = f"{self._show(folder)} holds no picture", "Put the masks there."
        stops = "training" if split.name in ("train", "val") else "evaluation on it"
        images = f"{in_thousands(n, 'image')} of {split.name or 'the set'}"
        detail = f"none of the {images} has a mask: {why}; {stops} stops here"
        stops_with = detail if split.name in ("train", "val") else None
        return dataset_fault(
            "M008", detail, advice, file=image_folder, split=split.name, stops_with=stops_with
        )

    def _show(self, path: str) -> str:
        return shown(path, self.root)


def _mask_name(image: str, names: frozenset[str]) -> str | None:
    stem = image[: image.rindex(".")]
    if f"{stem}{MASK_SUFFIX}" in names:
        return f"{stem}{MASK_SUFFIX}"
    return next((f"{stem}.{e}" for e in sorted(IMAGE_EXTENSIONS) if f"{stem}.{e}" in names), None)
