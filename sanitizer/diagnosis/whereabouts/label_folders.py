"""Labels of the images' own names in another folder than the one where training looks."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sanitizer.dataset.listing import image_folder, label_folder
from sanitizer.dataset.split_paths import FOLDER_NAMES
from sanitizer.diagnosis.whereabouts.claims import (
    NEARLY_ALL,
    Claimed,
    claim_bare,
    claim_splits,
    commands,
    place,
    some,
    training_of,
    word,
)
from sanitizer.diagnosis.whereabouts.unpaired import stem_of
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.paths import is_inside, join_path, normal_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.listing import ListedFolder
    from sanitizer.diagnosis.evidence import Evidence
    from sanitizer.diagnosis.whereabouts.look import Look
    from sanitizer.diagnosis.whereabouts.unpaired import UnpairedFolder

_FEWEST = 2
"""Images of equal names that a folder must have: one may be a coincidence."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Images whose labels lie in another folder.

    Attributes:
        unpaired: Their folder.
        found: Absolute folder that holds the labels.
        stems: Of the images that have a label there.
        n_found: Labels there that belong to no image where they lie.
        rival: Another folder that fits as well, or None.
        link: The link by which the data.yaml names the image folder, where that is why; else None.
    """

    unpaired: UnpairedFolder
    found: str
    stems: frozenset[str]
    n_found: int
    rival: str | None = None
    link: str | None = None

    @property
    def kind(self) -> str:
        """Id of the cause."""
        image_dir, label_dir = self.unpaired.image_dir, self.unpaired.label_dir
        if self.link is not None:
            return "linked-images"
        if self.found == image_dir:
            return "labels-beside-images"
        if image_dir == label_dir:
            return "no-images-folder"
        if self.found.lower() == label_dir.lower():
            return "label-folder-case"
        return "labels-elsewhere"


def labels_elsewhere(look: Look) -> Iterator[Hypothesis]:
    """A cause for each way in which labels lie elsewhere."""
    kinds: dict[str, list[Elsewhere]] = defaultdict(list)
    for unpaired in look.unpaired:
        if unpaired.n_bare and (found := _find(look, unpaired)) is not None:
            kinds[found.kind].append(found)
    for kind, of_kind in kinds.items():
        if sum(len(each.stems) for each in of_kind) >= _FEWEST:
            yield _cause(look.evidence, kind, of_kind, look.unpaired)


def _find(look: Look, unpaired: UnpairedFolder) -> Elsewhere | None:
    """The folder that holds the labels of these images; None where none explains nearly all of them, or of itself."""
    bare = frozenset(map(stem_of, unpaired.bare))
    fitting: list[tuple[tuple[int, float], Elsewhere]] = []
    beside = look.folder(unpaired.image_dir)
    for folder in [*([beside] if beside is not None else []), *look.near]:
        if folder.path == unpaired.label_dir or not folder.labels:
            continue
        free = look.free_labels(folder)
        both = bare & free
        if not both or len(both) < NEARLY_ALL * min(len(bare), len(free)):
            continue
        if folder.path != unpaired.image_dir and _has_own_images(look, unpaired, folder, both):
            continue
        if len(both) < min(_FEWEST, len(bare)):
            continue
        score = (_kinship(unpaired, folder), len(both) / len(bare | free))
        fitting.append(
            (score, Elsewhere(unpaired, folder.path, both, len(free), link=_link(look, unpaired, folder)))
        )
    fitting.sort(key=lambda each: each[0], reverse=True)
    for score, best in fitting:
        if look.holds_label_rows(best.found, list(best.stems)):
            equal = [e.found for s, e in fitting if s == score and e.found != best.found]
            return replace(best, rival=equal[0]) if equal else best
    return None


def _has_own_images(
    look: Look, unpaired: UnpairedFolder, folder: ListedFolder, stems: frozenset[str]
) -> bool:
    """Whether the labels belong to images of another set that lies near, where training would find them."""
    path = image_folder(folder.path)
    if look.evidence.dataset.storage.realpath(path) == unpaired.image_dir:
        return False
    images = folder if path == folder.path else look.folder(path)
    own = stems & set(map(stem_of, images.images)) if images is not None else ()
    return len(own) >= NEARLY_ALL * len(stems)


def _kinship(unpaired: UnpairedFolder, folder: ListedFolder) -> int:
    """2 beside the images, 1 where the path names their split or their folder, -1 where it names another split."""
    if folder.path == unpaired.image_dir:
        return 2
    path = folder.path.lower()
    own = {unpaired.split, *FOLDER_NAMES.get(unpaired.split, ())} - {""}
    others = {alias for name, aliases in FOLDER_NAMES.items() if name != unpaired.split for alias in aliases}
    parts = [part for name in path.split("/") for part in name.replace("-", "_").split("_")]
    tail = parts[-4:]
    if own & set(tail):
        return 1
    if unpaired.split and others & set(tail):
        return -1
    return 0


def _link(look: Look, unpaired: UnpairedFolder, folder: ListedFolder) -> str | None:
    """The path of the data.yaml that leads to the images through a link, and whose own label folder is this one."""
    search = look.evidence.dataset.search
    if search is None or search.paths is None:
        return None
    for split in search.paths.resolved:
        for each in split.found:
            written = normal_path(join_path(search.paths.bases[each.base], each.value))
            inside = f"{unpaired.image_dir}/".removeprefix(f"{each.path}/")
            if written == each.path or inside == f"{unpaired.image_dir}/":
                continue
            if label_folder(f"{written}/{inside}".rstrip("/")) == folder.path:
                return written
    return None


def _cause(
    evidence: Evidence, kind: str, found: Sequence[Elsewhere], unpaired: Sequence[UnpairedFolder]
) -> Hypothesis:
    folders = [each.unpaired for each in found]
    claimed = Claimed(evidence, "D006", "D007", "L009", *(["D005"] if kind == "linked-images" else []))
    for each in found:
        names = [name for name in each.unpaired.bare if stem_of(name) in each.stems]
        claimed.add_files(f"{each.unpaired.image_dir}/{name}" for name in names)
        claimed.add_files(f"{each.found}/{stem}.txt" for stem in each.stems)
        if len(each.stems) >= NEARLY_ALL * each.n_found:
            claimed.add_files([each.found])
        if len(each.stems) >= NEARLY_ALL * each.unpaired.n_bare:
            claim_bare(claimed, [each.unpaired], unpaired)
    claim_splits(claimed, ((each.unpaired.split, len(each.stems)) for each in found), unpaired)
    n = sum(len(each.stems) for each in found)
    cause = Cause(
        kind,
        _NAMES[kind],
        _sentence(evidence, kind, found, n),
        tuple(_evidence(evidence, each) for each in found[:6]),
        training_of(evidence, folders, n),
        _way_out(evidence, kind, found),
        images=n,
    )
    return Hypothesis(cause, claimed, advises=True)


_NAMES: Mapping[str, str] = {
    "linked-images": "images behind a link",
    "labels-beside-images": "labels beside the images",
    "no-images-folder": "no folder called images",
    "label-folder-case": "a folder in another letter case",
    "labels-elsewhere": "labels in another folder",
}


def _sentence(evidence: Evidence, kind: str, found: Sequence[Elsewhere], n: int) -> str:
    lie = some(place(evidence, each.found) for each in found)
    sought = some(place(evidence, each.unpaired.label_dir) for each in found)
    images = some(place(evidence, each.unpaired.image_dir) for each in found)
    if kind == "linked-images":
        links = some(place(evidence, each.link or "") for each in found)
        return (
            f"The labels of {n:,} images lie in {lie}, but {links} "
            f"{'is a link' if len(found) == 1 else 'are links'} to {images}: training follows the link first "
            f"and then looks for the labels in {sought}."
        )
    if kind == "labels-beside-images":
        return (
            f"The labels of {n:,} images lie beside them in {lie}, but where a path holds /images/ training looks "
            f"only in {sought}."
        )
    if kind == "no-images-folder":
        why = "no folder above them is called images"
        if "/images/" in f"{found[0].unpaired.image_dir}/".lower():
            why = "their folder is not called images in small letters"
        beside = f"training looks beside the images in {sought}"
        return f"The labels of {n:,} images lie in {lie}, but {beside}, because {why}."
    if kind == "label-folder-case":
        return (
            f"The labels of {n:,} images lie in {lie}, but training looks in {sought}: "
            "upper and lower case make two folders here."
        )
    return f"The labels of {n:,} images lie in {lie}, but training looks in {sought}."


def _evidence(evidence: Evidence, each: Elsewhere) -> str:
    sentence = (
        f"{len(each.stems):,} of the {each.unpaired.n_bare:,} images without label in "
        f"{place(evidence, each.unpaired.image_dir)} have a label file of the same name in "
        f"{place(evidence, each.found)}, which holds {each.n_found:,} without an image of their own."
    )
    if each.rival is not None:
        sentence += f" {place(evidence, each.rival)} fits as well: look which of the two is right."
    return sentence


def _way_out(evidence: Evidence, kind: str, found: Sequence[Elsewhere]) -> str:
    if kind == "no-images-folder" and (renamed := _renamed_images(evidence, found)) is not None:
        return renamed
    return commands(evidence, [command for each in found for command in _moved(evidence, each, found)])


def _renamed_images(evidence: Evidence, found: Sequence[Elsewhere]) -> str | None:
    """Words to rename one folder to `images`, where training then finds all these labels; None where it would not."""
    renames: dict[tuple[str, str], None] = {}
    for each in found:
        parts = each.unpaired.image_dir.split("/")
        for k in range(len(parts) - 1, 0, -1):
            head, tail = "/".join(parts[:k]), parts[k + 1 :]
            if label_folder("/".join([head, "images", *tail])) == each.found:
                renames[f"{head}/{parts[k]}", f"{head}/images"] = None
                break
        else:
            return None
    names = {posixpath.basename(old) for old, _ in renames}
    taken = any(
        evidence.dataset.storage.exists(new) and not _is_same(evidence, old, new) for old, new in renames
    )
    if len(names) > 1 or taken:
        return None
    dataset = evidence.dataset
    files = [path for paths in _lists(evidence).values() for path in paths]
    if dataset.yaml_path is not None and not files:
        files = [dataset.yaml_path]
    where = some(place(evidence, path) for path in files) if files else "what names them"
    moves = commands(evidence, [f"mv {word(evidence, old)} {word(evidence, new)}" for old, new in renames])
    return f"{moves[:-1]}, and write images/ for {names.pop()}/ in {where}."


def _is_same(evidence: Evidence, old: str, new: str) -> bool:
    try:
        return evidence.dataset.storage.samefile(old, new)
    except OSError:
        return False


def _lists(evidence: Evidence) -> Mapping[str, Sequence[str]]:
    search = evidence.dataset.search
    return search.lists if search is not None else {}


def _moved(evidence: Evidence, each: Elsewhere, found: Sequence[Elsewhere]) -> list[str]:
    """Commands after which the labels lie where training looks."""
    storage, source, target = evidence.dataset.storage, each.found, each.unpaired.label_dir
    if each.link is not None and is_inside(each.unpaired.image_dir, evidence.dataset.root):
        images, link = word(evidence, each.unpaired.image_dir), word(evidence, each.link)
        return [f"rm {link} && mv {images} {link}"]
    shared = sum(other.found == source for other in found) > 1
    if shared or len(each.stems) < NEARLY_ALL * each.n_found:
        return [_one_by_one(evidence, each)]
    alone = source not in (each.unpaired.image_dir, target) and each.link is None
    if alone and not storage.exists(target) and not is_inside(target, source):
        old, new = source.split("/"), target.split("/")
        while old[-1] == new[-1] and not storage.exists("/".join(new[:-1])):
            old.pop()
            new.pop()
        made = "/".join(new[:-1])
        move = f"mv {word(evidence, '/'.join(old))} {word(evidence, '/'.join(new))}"
        return [move if storage.exists(made) else f"mkdir -p {word(evidence, made)} && {move}"]
    action = "cp" if each.link is not None else "mv"
    move = f"{action} {word(evidence, source)}/*.txt {word(evidence, target)}/"
    if storage.isdir(target):
        return [move]
    return [f"mkdir -p {word(evidence, target)} && {move}"]


def _one_by_one(evidence: Evidence, each: Elsewhere) -> str:
    """A command that moves only the labels of these images, out of a folder that holds others too."""
    images, source = word(evidence, each.unpaired.image_dir), word(evidence, each.found)
    target = word(evidence, each.unpaired.label_dir)
    return (
        f'mkdir -p {target} && for i in {images}/*; do n=$(basename "${{i%.*}}").txt; '
        f'[ -e {source}/"$n" ] && mv -n {source}/"$n" {target}/; done'
    )
