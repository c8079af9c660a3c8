"""The packed list of image/label pairs gives back exactly the paths that went in."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sanitizer.dataset.model import Dataset, Split

file_names = st.binary(min_size=1, max_size=12).filter(lambda b: not set(b) & {0, ord("/")}).map(os.fsdecode)


@given(
    st.lists(st.tuples(file_names, st.integers(0, 1), st.booleans(), st.booleans()), max_size=9), st.data()
)
def test_chunk_agrees_with_single_paths(
    pairs: list[tuple[str, int, bool, bool]], data: st.DataObject
) -> None:
    names = [f"{name}.jpg" if has_image else f"{name}.txt" for name, _, has_image, _ in pairs]
    split = Split.build(
        "train",
        ["/d/images/a", "/d/images/b"],
        ["/d/labels/a", "/d/labels/b"],
        np.array([d for _, d, _, _ in pairs], np.int32),
        names,
        np.array([i for _, _, i, _ in pairs], np.bool_),
        np.array([lb for _, _, _, lb in pairs], np.bool_),
    )
    start = data.draw(st.integers(0, len(pairs)))
    stop = data.draw(st.integers(start, len(pairs)))
    chunk = split.chunk(start, stop)
    assert chunk.images == [split.image_path(i) for i in range(start, stop)]
    assert chunk.labels == [split.label_path(i) for i in range(start, stop)]
    assert [split.file_name(i) for i in range(len(split))] == names


def test_label_path_keeps_inner_dots() -> None:
    yes = np.ones(1, np.bool_)
    split = Split.build(
        "train", ["/d/images"], ["/d/labels"], np.zeros(1, np.int32), ["a.rf.1.jpg"], yes, yes
    )
    assert split.label_path(0) == "/d/labels/a.rf.1.txt"


def test_without_repeats_keeps_the_first_split() -> None:
    yes = np.ones(2, np.bool_)
    dirs = np.zeros(2, np.int32)

    def split(name: str, files: list[str]) -> Split:
        return Split.build(name, ["/d/images"], ["/d/labels"], dirs, files, yes, yes)

    dataset = Dataset(
        "/d",
        "/d",
        None,
        (split("train", ["a.jpg", "b.jpg"]), split("val", ["b.jpg", "c.jpg"])),
        None,
        None,
        {},
    )
    once = dataset.without_repeats()
    assert [[s.file_name(i) for i in range(len(s))] for s in once.splits] == [["a.jpg", "b.jpg"], ["c.jpg"]]
