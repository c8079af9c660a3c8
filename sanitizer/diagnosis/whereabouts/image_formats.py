"""Labels whose pictures are there, in a file format that training never opens."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sanitizer.dataset.listing import FOREIGN_IMAGES
from sanitizer.diagnosis.whereabouts.claims import NEARLY_ALL, Claimed, commands, place, some, word
from sanitizer.diagnosis.whereabouts.unpaired import stem_of
from sanitizer.findings.cause import Cause, Hypothesis
from sanitizer.util.counting import in_thousands
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.diagnosis.whereabouts.look import Look

_RENAMED = {"jfif": "jpg", "jpe": "jpg"}
"""Extensions of files that training reads under another name."""


def foreign_images(look: Look) -> Iterator[Hypothesis]:
    """The cause of labels without image whose pictures have an extension that training does not know."""
    evidence = look.evidence
    claimed = Claimed(evidence, "D007", "D002")
    extensions, folders, n, example = Counter[str](), dict[str, set[str]](), 0, ""
    for unpaired in look.unpaired:
        folder = look.folder(unpaired.image_dir) if unpaired.orphans else None
        if folder is None:
            continue
        pictures = {stem_of(name): name for name in folder.notable if _is_foreign(name)}
        mine = [name for name in unpaired.orphans if stem_of(name) in pictures]
        claimed.add_files(f"{unpaired.label_dir}/{name}" for name in mine)
        if mine and len(mine) >= NEARLY_ALL * len(unpaired.orphans):
            claimed.add_files([unpaired.label_dir])
        n += len(mine)
        for name in mine:
            picture = pictures[stem_of(name)]
            example = example or picture
            extension = picture.rpartition(".")[2]
            extensions[extension] += 1
            folders.setdefault(unpaired.image_dir, set()).add(extension)
    only = _folders_without_images(look, claimed)
    for path, of_folder in only.items():
        extensions += of_folder
        n += of_folder.total()
        folders.setdefault(path, set()).update(of_folder)
    if not n:
        return
    kinds = some(f".{extension}" for extension in sorted(extensions))
    where = some(place(evidence, path) for path in folders)
    sentence = f"{in_thousands(n, 'picture')} in {where} {'are' if n > 1 else 'is'} {kinds}, which training never opens"
    sentence += f": {shown(example)} is there, but its label counts as one without image." if example else "."
    training = "Training leaves them out without a word, with their labels."
    if only:
        training = "Training stops where a split that it needs has no image."
    cause = Cause(
        "image-format-not-read",
        "pictures in a format that training never opens",
        sentence,
        tuple(
            f"{in_thousands(count, 'file')} .{extension}." for extension, count in sorted(extensions.items())
        ),
        training,
        commands(
            evidence, [_command(word(evidence, path), e) for path, of in folders.items() for e in sorted(of)]
        ),
        images=n,
    )
    yield Hypothesis(cause, claimed, advises=True)


def _is_foreign(name: str) -> bool:
    return name.rpartition(".")[2].lower() in FOREIGN_IMAGES


def _folders_without_images(look: Look, claimed: Claimed) -> dict[str, Counter[str]]:
    """Folders of the data.yaml that hold such pictures and no image at all, with how many of each extension."""
    search, found = look.evidence.dataset.search, dict[str, Counter[str]]()
    for split in search.paths.resolved if search is not None and search.paths is not None else ():
        for each in split.found:
            folder = look.folder(each.path)
            if folder is not None and not folder.images and not folder.subfolders:
                extensions = Counter(n.rpartition(".")[2] for n in folder.notable if _is_foreign(n))
                if extensions:
                    found[each.path] = extensions
                    claimed.add_split(split.name)
    return found


def _command(folder: str, extension: str) -> str:
    if renamed := _RENAMED.get(extension.lower()):
        return f'for f in {folder}/*.{extension}; do mv -n "$f" "${{f%.*}}.{renamed}"; done'
    return f"mogrify -format png {folder}/*.{extension}"
