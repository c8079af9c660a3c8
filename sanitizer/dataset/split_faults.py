"""What is wrong with the paths of splits in a data.yaml, and what training would run or fetch in place of them.

D001, D002, D004 and D005. Nothing is run here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sanitizer.dataset.slips.keys import key_of_other_tool, parent_of
from sanitizer.dataset.slips.texts import cut
from sanitizer.dataset.split_paths import MAX_PATHS, declared_path
from sanitizer.dataset.tables import RunStage, dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.counting import counted
from sanitizer.util.paths import is_absolute, is_inside, is_url, relative_to, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.split_paths import Guess, LostPath, ResolvedSplit, SplitPaths
    from sanitizer.dataset.tables import DatasetFault

_STOPS = "training stops here"
_ERROR = "RuntimeError: Dataset … error …"
_LOADING_FAILS = "FileNotFoundError: … Error loading data from"


def split_faults(document: DataYaml, found: SplitPaths) -> Iterator[DatasetFault]:
    """Every fault of the splits of a data.yaml, split by split, then what concerns several splits."""
    declared = declared_path(document)
    if declared is not None and is_url(declared):
        yield _url_fault(document, "path", declared)
    for split in found.resolved:
        if split.n_values:
            yield from _value_faults(document, split)
        else:
            yield _missing_fault(document, split)
    yield from _base_faults(document, found)
    yield from _outside_faults(document, found)


def _value_faults(document: DataYaml, split: ResolvedSplit) -> Iterator[DatasetFault]:
    """The paths of one split: too many, no paths at all, or paths that lead to nothing."""
    name = split.name
    if split.n_values > MAX_PATHS:
        detail = f"`{name}:` lists {split.n_values:,} paths; only the first {MAX_PATHS:,} were looked for"
        advice = "Name the folders that hold the images, or one .txt list of them."
        yield _fault(document, "D002", detail, advice, Severity.ERROR, split.line, name)
    for value, line in split.refused:
        if isinstance(value, str):
            yield _url_fault(document, name, value)
        else:
            detail = f"`{name}:` lists a {type(value).__name__}, not a path; {_STOPS}"
            stops_with = f"{_ERROR} unsupported operand type(s) for /"
            yield _fault(document, "D001", detail, "List paths only.", Severity.ERROR, line, name, stops_with)
    for i, lost in enumerate(split.lost):
        # A guessed folder stands for the whole split, so only the first lost path names it.
        guess = split.guess if i == 0 or split.guessed_path is None else None
        yield _lost_fault(document, split, lost, guess)
    if split.n_more_lost:
        detail = f"`{name}:` lists {split.n_more_lost:,} more paths that do not exist; {_STOPS}"
        yield _fault(
            document,
            "D002",
            detail,
            "Correct the list.",
            Severity.ERROR,
            split.line,
            name,
            not_found(document, name),
        )


def _lost_fault(
    document: DataYaml, split: ResolvedSplit, lost: LostPath, guess: Guess | None
) -> DatasetFault:
    """D002 for a path that does not exist: an error where training needs the split."""
    name, is_needed = split.name, split.name in ("train", "val")
    places = " and ".join(dict.fromkeys(shown(path, split.root) for path in lost.looked_for))
    stops = _STOPS if is_needed else "evaluation on it stops"
    detail = f"`{name}: {shown(lost.value)}` does not exist (looked for {places}); {stops}"
    advice = "Correct the path; it is taken from the dataset root."
    if guess is not None:
        detail += _guess_words(guess, name)
        if guess.relative:
            advice = f"Write `{name}: {guess.relative}`."
    severity = Severity.ERROR if is_needed else Severity.WARNING
    return _fault(document, "D002", detail, advice, severity, lost.line, name, not_found(document, name))


def not_found(document: DataYaml, name: str) -> str | None:
    """The exception for a path of a split that does not exist; None where training goes on, or fetches the data."""
    if name == "train":
        return _LOADING_FAILS
    if name == "val" and not document.data.get("download"):
        return f"{_ERROR} images not found, missing path"
    return None


def _missing_fault(document: DataYaml, split: ResolvedSplit) -> DatasetFault:
    """D002 for a split that training needs and the data.yaml does not name."""
    name, key, guess = split.name, f"`{split.name}:`", split.guess
    detail = f"{key} is empty; {_STOPS}" if split.has_key else f"the key {key} is missing; {_STOPS}"
    advice = f"Write {key} and the folder of its images."
    other = None if split.has_key else key_of_other_tool(document.data, name)
    if other is not None:
        detail = f"the key {key} is missing (training does not read `{shown(other)}:`); {_STOPS}"
    parent = None if split.has_key or other else parent_of(document.data, name)
    if parent is not None:
        detail = f"{key} stands below `{shown(parent)}:`, where training does not look for it; {_STOPS}"
    if guess is not None:
        detail += _guess_words(guess, name)
        if guess.relative:
            advice = f"Write `{name}: {guess.relative}`."
    if parent is not None:
        advice = f"Delete line {document.line(parent)}, and take the indentation off the lines below it."
    if other is not None:
        advice = f"Write {key} in place of `{shown(other)}:` on line {document.line(other)}."
    if not split.has_key:
        stops_with = f"{_ERROR} '{name}:' key missing"
    elif name == "train":
        stops_with = _LOADING_FAILS
    else:
        stops_with = f"{_ERROR} 'val:' images not found"
    return _fault(document, "D002", detail, advice, Severity.ERROR, split.line or 1, name, stops_with)


def _guess_words(guess: Guess, name: str) -> str:
    """What goes on after "training stops here": which folders look like the split, and whether one was scanned."""
    if not guess.folders:
        return ""
    listed = ", ".join(f"{relative} ({counted(count, 'image')})" for relative, count in guess.folders)
    if guess.relative is None:
        return f". It could be one of {listed}; none was scanned"
    return f". Found {listed} instead, scanned here as {name}"


def _base_faults(document: DataYaml, found: SplitPaths) -> Iterator[DatasetFault]:
    """D002 for each base folder that splits were found in, other than the one that `path:` leads to."""
    names_by_base: dict[int, dict[str, None]] = {}
    for split in found.resolved:
        for each in split.found:
            if each.base:
                names_by_base.setdefault(each.base, {})[split.name] = None
    folder, declared = os.path.dirname(document.path), declared_path(document) or ""
    looked = " and ".join(shown(base) for base in found.training_bases)
    for number, names in names_by_base.items():
        base = found.bases[number]
        where = "beside the yaml" if base == folder else f"in {shown(base, folder)}"
        what = f"{', '.join(names)} found {where} instead"
        if is_absolute(declared):
            detail = f"`path: {shown(declared)}` does not hold the splits on this machine; {_STOPS} ({what})"
            severity = Severity.ERROR
        else:
            detail = (
                f"`path: {shown(declared)}` is taken from the folder in which training is started, not from the"
                f" yaml's: from here training looks in {looked} and stops ({what})"
            )
            severity = Severity.WARNING
        advice = "Leave `path:` out: then paths are taken from the folder of the yaml."
        stops = filter(None, (not_found(document, name) for name in ("val", "train") if name in names))
        yield _fault(
            document, "D002", detail, advice, severity, document.line("path"), stops_with=next(stops, None)
        )


def _outside_faults(document: DataYaml, found: SplitPaths) -> Iterator[DatasetFault]:
    """D005 for sources that are not below the dataset's folder."""
    # A relative path without `..` leads out of the folder only through a link.
    through_link = {
        each.path
        for split in found.resolved
        for each in split.found
        if ".." not in each.value and not is_absolute(each.value)
    }
    for split in found.splits:
        for path in split.paths:
            if is_inside(path, found.root):
                continue
            away = shown(relative_to(path, found.root))
            detail = f"`{split.name}:` leads to {away}, outside the dataset folder"
            if path in through_link:
                detail += f" (through a link; labels are then sought from {away}, not from where the link is)"
            else:
                detail += ": a copy of the folder would train on other images, or none"
            advice = "Move the images into the dataset folder, or set `path:` to the folder that holds both."
            yield _fault(document, "D005", detail, advice, None, split.line, split.name)


def _url_fault(document: DataYaml, key: str, value: str) -> DatasetFault:
    detail = f"`{key}: {shown(value)}` is a URL: training does not fetch it, takes it for a folder and stops"
    advice = f"Download it yourself, look at it, then write the folder's path under `{key}:`."
    stops_with = not_found(document, "val" if key == "path" else key)
    return _fault(document, "D004", detail, advice, Severity.ERROR, document.line(key), stops_with=stops_with)


def _fault(
    document: DataYaml,
    rule: str,
    detail: str,
    advice: str,
    severity: Severity | None,
    line: int | None,
    split: str | None = None,
    stops_with: str | None = None,
) -> DatasetFault:
    late = stops_with == _LOADING_FAILS
    return dataset_fault(
        rule, detail, advice, severity, file=document.path, line=line, split=split,
        stops_with=stops_with, stops_at=RunStage.TRAIN if late else RunStage.DATA_YAML,
    )  # fmt: skip


_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")


def check_download(document: DataYaml, val_missing: bool) -> Iterator[DatasetFault]:
    """At most one fault: `download:` is not empty. `val_missing`: training would use it on this machine now."""
    value = document.data.get("download")
    if not value:
        return
    when = (
        "the val images are missing, so training would"
        if val_missing
        else "if the val images were missing, training would"
    )
    line = document.line("download")
    if not isinstance(value, str):
        detail = f"`download:` is a {type(value).__name__}, not text: {when} stop here"
        yield dataset_fault(
            "D004", detail, "Remove `download:`.", Severity.ERROR, file=document.path, line=line
        )
        return
    first = cut(shown(value.strip().splitlines()[0] if value.strip() else ""), 80)
    bare = value.lower().partition("?")[0]
    advice = "Remove `download:` and fetch the images yourself."
    if value.lower().startswith("http") and bare.endswith(_ARCHIVES):
        detail = f"`download: {first}`: {when} fetch and unpack this archive"
        yield dataset_fault("D004", detail, advice, Severity.WARNING, file=document.path, line=line)
        return
    if value.lower().startswith("http") and len(value.split()) == 1:
        detail = f"`download: {first}` is a URL but not of an archive: {when} try to run it as Python code"
        yield dataset_fault("D004", detail, advice, Severity.WARNING, file=document.path, line=line)
        return
    kind = "run the command" if value.startswith("bash ") else "run this Python code with exec():"
    detail = f"`download:` carries code: {when} {kind} `{first}`"
    yield dataset_fault(
        "D004", detail, f"{advice} Read the code first.", Severity.ERROR, file=document.path, line=line
    )
