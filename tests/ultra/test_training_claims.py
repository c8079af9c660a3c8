"""What each rule says of training is true: its bad examples go through the real Ultralytics loader."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from example_files import CLEAN_IMAGE, CLEAN_LABEL, EXAMPLE_IMAGE, EXAMPLE_LABEL, build, task_of

from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sanitizer.rules.language.rule import Rule

RULES = {
    code: rule
    for code, rule in load_rules().items()
    if rule.training and rule.scope != "recipe" and not code.startswith("G")  # a loader sees neither
}


@dataclass
class Outcome:
    """What the loader did with a dataset.

    Attributes:
        crash: Its words if it raised, so that training cannot start.
        dropped: Images that it left out.
        rewritten: Files whose bytes it changed.
        shortened: Images that it kept with fewer objects than their label file has rows.
        background: Images that it kept without any object.
        unread: Label files that it never looked at.
    """

    crash: str | None = None
    dropped: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    shortened: set[str] = field(default_factory=set)
    background: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def claims(self) -> set[str]:
        """The values of `training` that are true of it."""
        if self.crash:
            return {"crashes"}
        changes = {
            "drops-image": self.dropped,
            "drops-row": self.shortened,
            "rewrites-file": self.rewritten,
        }
        claims = {claim for claim, files in changes.items() if files}
        if not claims:
            claims.add("trains")
            if self.background or self.unread:
                claims.add("ignores")
        return claims


def load_for_training(data_yaml: Path, task: str) -> Outcome:
    """Take a dataset as far as the trainer does before its first batch: every image of train and val is read."""
    from ultralytics.data import utils
    from ultralytics.data.dataset import YOLODataset

    outcome = Outcome()
    before = file_hashes(data_yaml.parent)
    read: set[str] = set()
    try:
        data = utils.check_det_dataset(str(data_yaml), autodownload=False)
        for split in ("train", "val"):
            dataset = YOLODataset(img_path=data[split], data=data, task=task, imgsz=64, augment=False)
            wanted = dataset.get_img_files(data[split])
            outcome.dropped |= set(wanted) - set(dataset.im_files)
            for i, label in enumerate(dataset.labels):
                dataset.load_image(i)
                (path,) = utils.img2label_paths([label["im_file"]])
                read.add(os.path.realpath(path))
                n_rows = count_rows(path)
                if len(label["cls"]) < n_rows:
                    outcome.shortened.add(label["im_file"])
                if n_rows == 0:
                    outcome.background.add(label["im_file"])
    except Exception as error:  # whatever it is, training ends there
        outcome.crash = repr(error)
    after = file_hashes(data_yaml.parent)
    outcome.rewritten = {path for path in before if after.get(path) != before[path]}
    labels = {os.path.realpath(p) for p in data_yaml.parent.rglob("*") if p.suffix.lower() == ".txt"}
    outcome.unread = labels - read
    return outcome


def load_folders_for_training(data: Path) -> Outcome:
    """The same for a classification set: what check_cls_dataset and ClassificationDataset make of its folders."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import ClassificationDataset
    from ultralytics.data.utils import check_cls_dataset

    outcome = Outcome()
    before = file_hashes(data if data.is_dir() else data.parent)
    args = get_cfg(overrides={"task": "classify", "imgsz": 32})
    try:
        found = check_cls_dataset(str(data), split="val")
        for split in ("train", "val"):
            dataset = ClassificationDataset(
                found[split], args, augment=split == "train", prefix=split, names=found["names"]
            )
            if not dataset.samples:
                raise FileNotFoundError(f"no images found in {split}")  # as ClassificationTrainer does
            kept = {sample[0] for sample in dataset.samples}
            outcome.dropped |= {path for path, _ in dataset.base.samples} - kept
            seen = {os.path.realpath(path) for path, _ in dataset.base.samples}
            lost = {str(p) for p in Path(found[split]).rglob("*") if p.suffix in (".jpg", ".gif")}
            outcome.unread |= {p for p in lost if os.path.realpath(p) not in seen}
    except Exception as error:  # whatever it is, training ends there
        outcome.crash = repr(error)
    after = file_hashes(data if data.is_dir() else data.parent)
    outcome.rewritten = {path for path in before if after.get(path) != before[path]}
    return outcome


def load_masks_for_training(data_yaml: Path) -> Outcome:
    """The same for a semantic set: every image and its mask."""
    from ultralytics.data import utils
    from ultralytics.data.dataset import SemanticDataset

    outcome = Outcome()
    try:
        data = utils.check_det_dataset(str(data_yaml), autodownload=False)
        for split in ("train", "val"):
            dataset = SemanticDataset(
                img_path=data[split], data=data, task="semantic", imgsz=64, augment=False
            )
            outcome.dropped |= set(dataset.get_img_files(data[split])) - set(dataset.im_files)
            for i in range(len(dataset.labels)):
                dataset.get_image_and_label(i)
    except Exception as error:  # whatever it is, training ends there
        outcome.crash = repr(error)
    return outcome


def count_rows(path: str) -> int:
    """Rows of a label file as the loader counts them."""
    if not os.path.isfile(path):
        return 0
    with open(path, encoding="utf-8-sig") as f:
        return sum(bool(line.strip()) for line in f.read().splitlines())


def file_hashes(folder: Path) -> dict[str, bytes]:
    return {str(p): hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob("*") if p.is_file()}


def add_companion(folder: Path) -> None:
    """Another good image beside the example: a loader left with no image at all would stop for that alone."""
    in_train = (folder / EXAMPLE_IMAGE).parent.is_dir() or (folder / EXAMPLE_LABEL).is_file()
    if in_train and (folder / CLEAN_IMAGE).is_file():
        for source, example in ((CLEAN_IMAGE, EXAMPLE_IMAGE), (CLEAN_LABEL, EXAMPLE_LABEL)):
            target = (folder / example).with_stem("companion")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / source, target)


def bad_examples() -> Iterator[Any]:
    for code, rule in RULES.items():
        for number, example in enumerate(rule.examples["bad"]):
            about = example.get("about", f"example {number + 1}")
            yield pytest.param(rule, example, id=f"{code} {about}")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader would look for a font on the net."""
    monkeypatch.setattr("ultralytics.data.utils.check_font", lambda *_: None)


@pytest.mark.ultralytics
@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("rule", "example"), list(bad_examples()))
def test_training_does_with_a_bad_example_what_the_rule_says(
    rule: Rule, example: Mapping[str, Any], tmp_path: Path
) -> None:
    task = task_of(example, rule.tasks)
    data = build(example, tmp_path / "set", rule.tasks)
    if task not in ("classify", "semantic"):
        add_companion(tmp_path / "set")
    elif task == "semantic" and rule.training != "crashes":
        for kind, name in (("images", "clean.jpg"), ("masks", "clean.png")):
            shutil.copyfile(tmp_path / "set" / kind / "val" / name, tmp_path / "set" / kind / "train" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if task == "classify":
            outcome = load_folders_for_training(data)
        elif task == "semantic":
            outcome = load_masks_for_training(data)
        else:
            outcome = load_for_training(data, task)
    claim = example.get("training", rule.training)
    assert claim in outcome.claims(), outcome


def test_every_built_in_rule_says_what_training_does() -> None:
    silent = [code for code, rule in load_rules().items() if rule.built_in and not rule.training]
    assert silent == []
