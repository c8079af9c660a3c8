"""Pairing members of an archive: what belongs together is found in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sanitizer.archives.member_pairing import MemberPairer, Pair, is_image_member, is_label_member, sample_key
from sanitizer.archives.stored_images import read_stored

IMAGE = read_stored(0, lambda start, length: b"", "none")

STEMS = st.lists(
    st.tuples(
        st.sampled_from(["", "images/", "images/train/", "a/images/", "flat/"]),
        st.from_regex(r"[a-c]{1,2}(\.[a-c]{1,2})?", fullmatch=True),
        st.sampled_from(["both", "image", "label"]),
    ),
    max_size=12,
    unique_by=lambda case: case[:2],
)


def members_of(cases: list[tuple[str, str, str]]) -> list[str]:
    names = []
    for folder, stem, kind in cases:
        if kind != "label":
            names.append(f"{folder}{stem}.jpg")
        if kind != "image":
            names.append(f"{folder.replace('images/', 'labels/')}{stem}.txt")
    return names


def paired(names: list[str]) -> tuple[set[tuple[str | None, str | None]], list[str]]:
    pairer = MemberPairer("/set.tar", "/", "train")
    pairs: list[Pair] = []
    for name in names:
        if name.endswith(".jpg"):
            pairs += pairer.add_image(name, IMAGE)
        else:
            pairs += pairer.add_label(name, name.encode())
    pairs += pairer.finish()
    assert all(pair.label is None or pair.label.decode() == pair.label_name for pair in pairs)
    named = {(pair.image_name, pair.label_name) for pair in pairs}
    assert len(named) == len(pairs)
    return named, sorted(f"{f.rule} {f.image or f.label}" for f in pairer.faults if f.image or f.label)


@given(cases=STEMS, random=st.randoms(use_true_random=False))
def test_any_order_gives_the_pairs_that_training_makes_of_the_unpacked_files(
    cases: list[tuple[str, str, str]], random: object
) -> None:
    # A dot within a stem lets neighbours of another stem pair up; that is WebDataset's rule, tested elsewhere.
    cases = [(folder, stem.replace(".", "-"), kind) for folder, stem, kind in cases]
    cases = list({case[:2]: case for case in cases}.values())
    names = members_of(cases)
    expected = {
        (
            f"{folder}{stem}.jpg" if kind != "label" else None,
            f"{folder.replace('images/', 'labels/')}{stem}.txt" if kind != "image" else None,
        )
        for folder, stem, kind in cases
    }
    in_order = paired(names)
    assert in_order[0] == expected
    random.shuffle(names)  # type: ignore[attr-defined]
    assert paired(names) == in_order


@given(cases=STEMS, random=st.randoms(use_true_random=False))
def test_every_member_is_in_exactly_one_pair(cases: list[tuple[str, str, str]], random: object) -> None:
    names = members_of(cases)
    random.shuffle(names)  # type: ignore[attr-defined]
    pairs, _ = paired(names)
    assert sorted(n for pair in pairs for n in pair if n) == sorted(names)


def test_names() -> None:
    assert sample_key("a/b.c/d.e.f") == "a/b.c/d"
    assert sample_key("none") == "none"
    assert is_image_member("x/a.JPG")
    assert not is_image_member("x/._a.jpg")
    assert is_label_member("x/a.TXT")
    assert not is_label_member("x/classes.txt")
