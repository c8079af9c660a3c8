"""Annotations that training does not read in place of labels: PNG masks, .xml and .json of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.diagnosis.whereabouts.claims import (
    NEARLY_ALL,
    Claimed,
    claim_bare,
    commands,
    place,
    some,
    training_of,
    word,
)
from sanitizer.diagnosis.whereabouts.look import a_few
from sanitizer.diagnosis.whereabouts.unpaired import stem_of
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.images.header import PNG_START, png_depth_and_channels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from sanitizer.dataset.listing import ListedFolder
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.look import Look
    from sanitizer.diagnosis.whereabouts.unpaired import UnpairedFolder

_FEWEST = 2
_MASK_ENDS = ("", "_mask", "-mask", "_label", "_seg", "_gt", "_labels", "_labelIds", "_gtFine_labelIds")
_HEADS = 5
_HEAD_BYTES = 1 << 16

Found = tuple["UnpairedFolder", str, int]
"""(folder of the images, folder or file of their annotations, images that have one)."""


def other_annotations(look: Look) -> Iterator[Hypothesis]:
    """A cause for each kind of annotation that lies there in place of labels."""
    bare = [
        unpaired
        for unpaired in look.unpaired
        if unpaired.n_bare == unpaired.n_images >= 1 and not unpaired.orphans
    ]
    if sum(unpaired.n_bare for unpaired in bare) < _FEWEST:
        return
    masks = [found for unpaired in bare if (found := _masks_of(look, unpaired)) is not None]
    if masks:
        yield _cause(look, "masks-as-labels", "PNG masks in place of labels", masks)
    for extension, name, tool in (
        ("xml", "voc-as-labels", "Pascal VOC"),
        ("json", "labelme-as-labels", "LabelMe"),
    ):
        files = [found for unpaired in bare if (found := _files_of(look, unpaired, extension)) is not None]
        if files:
            yield _cause(look, name, f"{tool} files in place of labels", files)
    if coco := _coco_files(look):
        yield _cause(
            look, "coco-as-labels", "COCO JSON in place of labels", [(each, coco[0], 0) for each in bare]
        )


def _masks_of(look: Look, unpaired: UnpairedFolder) -> Found | None:
    """The folder of masks of these images: grey or palette PNGs of nearly all their names."""
    dataset = look.evidence.dataset
    taken = {path for split in dataset.splits for path in split.image_dirs}
    stems = frozenset(map(stem_of, unpaired.bare))
    best: tuple[float, Found] | None = None
    for folder in look.near:
        pngs = [name for name in folder.images if name.lower().endswith(".png")]
        if folder.path in taken or not pngs:
            continue
        own = frozenset(map(stem_of, pngs))
        n, end = max(
            (len(stems & {s.removesuffix(end) for s in own if s.endswith(end)}), end) for end in _MASK_ENDS
        )
        share = n / max(len(stems), 1)
        if share < NEARLY_ALL or (best is not None and n / len(own) <= best[0]):
            continue
        if _are_masks(look, folder, [name for name in pngs if stem_of(name).endswith(end)]):
            best = n / len(own), (unpaired, folder.path, n)
    return best[1] if best is not None else None


def _are_masks(look: Look, folder: ListedFolder, names: Sequence[str]) -> bool:
    """Whether PNG files have one channel, grey or a palette, by their headers."""
    kinds = []
    for name in a_few(names):
        try:
            with look.evidence.dataset.storage.open(f"{folder.path}/{name}") as file:
                head = file.read(26)
        except OSError:
            continue
        kinds.append(png_depth_and_channels(head) if head.startswith(PNG_START) else None)
    return bool(kinds) and all(kind is not None and kind[1] == 1 for kind in kinds)


def _files_of(look: Look, unpaired: UnpairedFolder, extension: str) -> Found | None:
    """The folder that holds a file of this extension for nearly all of these images."""
    stems = frozenset(map(stem_of, unpaired.bare))
    beside = [
        found for path in (unpaired.image_dir, unpaired.label_dir) if (found := look.folder(path)) is not None
    ]
    for folder in [*beside, *look.near]:
        own = _stems_with(folder, extension)
        if own and len(stems & own) >= NEARLY_ALL * len(stems):
            return unpaired, folder.path, len(stems & own)
    return None


def _stems_with(folder: ListedFolder, extension: str) -> AbstractSet[str]:
    return {stem_of(name) for name in folder.notable if name.rpartition(".")[2].lower() == extension}


def _coco_files(look: Look) -> list[str]:
    """JSON files near the dataset whose beginning or end speaks of COCO's images and annotations."""
    found = []
    for folder in look.near:
        names = [name for name in folder.notable if name.lower().endswith(".json")]
        for name in sorted(names)[:_HEADS] if len(names) <= 2 * _HEADS else []:
            if _is_coco(look, f"{folder.path}/{name}"):
                found.append(f"{folder.path}/{name}")
    return found


def _is_coco(look: Look, path: str) -> bool:
    storage = look.evidence.dataset.storage
    try:
        with storage.open(path) as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, storage.size(path) - _HEAD_BYTES))
            text = head + file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    keys = (b'"images"', b'"annotations"', b'"categories"', b'"bbox"', b'"file_name"')
    return head.lstrip().startswith(b"{") and sum(key in text for key in keys) >= 3


def _cause(look: Look, kind: str, name: str, found: Sequence[Found]) -> Hypothesis:
    evidence, folders = look.evidence, [unpaired for unpaired, _, _ in found]
    claimed = Claimed(evidence, "D006")
    claim_bare(claimed, folders, look.unpaired)
    for unpaired in folders:
        claimed.add_files(f"{unpaired.image_dir}/{image}" for image in unpaired.bare)
    n = sum(unpaired.n_bare for unpaired in folders)
    sentence, way_out = _words(evidence, kind, n, found)
    numbers = (
        f"{n_of:,} of the {unpaired.n_bare:,} images in {place(evidence, unpaired.image_dir)} have one of the same "
        f"name in {place(evidence, path)}."
        for unpaired, path, n_of in found[:6]
        if n_of
    )
    training = training_of(evidence, folders, n)
    cause = Cause(kind, name, sentence, tuple(numbers), training, way_out, images=n)
    return Hypothesis(cause, claimed, advises=True)


def _words(evidence: Evidence, kind: str, n: int, found: Sequence[Found]) -> tuple[str, str]:
    """(sentence, way out)."""
    where = some(place(evidence, path) for _, path, _ in found)
    sought = some(place(evidence, unpaired.label_dir) for unpaired, _, _ in found)
    folder = where.rpartition("/")[0] or "."
    if kind == "masks-as-labels":
        return (
            f"The annotations of {n:,} images are PNG masks in {where}; task {evidence.spec.task} reads rows of text "
            f"in {sought}.",
            "Train with task semantic and `masks_dir:` in the data.yaml, which reads masks; or make polygons for task "
            f"segment of them, where mask value 1 becomes class 0. {_conversion(evidence, found)}",
        )
    if kind == "coco-as-labels":
        return (
            f"The annotations of {n:,} images are not in label files but in a COCO file, {where}.",
            f"Convert it: `python -c \"from ultralytics.data.converter import convert_coco; convert_coco('{folder}', "
            f"save_dir='converted', cls91to80=False)\"`, then move the labels that it writes into {sought}.",
        )
    tool = "Pascal VOC .xml files" if kind == "voc-as-labels" else ".json files, as LabelMe writes them,"
    return (
        f"The annotations of {n:,} images are {tool} in {where}; training reads .txt files in {sought}.",
        f"Export them from the annotation tool as YOLO, or convert them, into {sought}.",
    )


def _conversion(evidence: Evidence, found: Sequence[Found]) -> str:
    """A command that writes polygons of the masks where training looks for labels."""
    pairs = [(word(evidence, path), word(evidence, unpaired.label_dir)) for unpaired, path, _ in found]
    if any("'" in name for pair in pairs for name in pair):
        return "convert_segment_masks_to_yolo_seg in ultralytics.data.converter does that."
    folders = " ".join(dict.fromkeys(target for _, target in pairs))
    calls = "; ".join(f"c('{source}', '{target}', {evidence.spec.nc or 255})" for source, target in pairs)
    program = f"from ultralytics.data.converter import convert_segment_masks_to_yolo_seg as c; {calls}"
    return commands(evidence, [f"mkdir -p {folders}", f'python -c "{program}"'])
