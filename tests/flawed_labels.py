"""Generated label files with the flaws that fixes are about, each close to where a repair begins to do harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE_SIZE = (640, 480)
"""What rows are generated for."""

Numbers = tuple[float, ...]

ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\u2028"])
_CLASS = st.sampled_from(["0", "0", "1", "1", "2"])
_ODD_CLASS = st.sampled_from(["3", "-1", "1.5", "b", "cat", "1_0", "nan"])
_DECIMALS = st.sampled_from([2, 4, 6, 6, 10])
_SEPARATOR = st.sampled_from([" ", " ", " ", " ", "  ", "\t", ",", ", ", ";", "\xa0"])


def _written(class_id: str, numbers: Sequence[float], decimals: int, separator: str = " ") -> str:
    return separator.join((class_id, *(f"{v:.{decimals}f}" for v in numbers)))


@st.composite
def _boxes_inside(draw: st.DrawFn) -> Numbers:
    w, h = (draw(st.sampled_from([0.01, 0.05, 0.2, 0.3, 0.5, 1.0])) for _ in range(2))
    x, y = (draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])) for _ in range(2))
    return (w / 2 + x * (1 - w), h / 2 + y * (1 - h), w, h)


@st.composite
def _boxes_over_an_edge(draw: st.DrawFn) -> Numbers:
    """Outside by nothing, by rounding, by more, or for the most part; thin and tiny ones among them."""
    outside = draw(st.sampled_from([0.0, 0.0011, 0.002, 0.005, 0.0099, 0.01, 0.0101, 0.03, 0.1, 0.3]))
    width = draw(st.sampled_from([0.004, 0.02, 0.0245, 0.1, 0.2, 0.4, 0.9]))
    length = draw(st.sampled_from([0.004, 0.1, 0.2, 0.5, 0.9]))
    centre = outside - width / 2 + 1 if draw(st.booleans()) else width / 2 - outside
    across = draw(st.sampled_from([0.5, 0.3]))
    return (centre, across, width, length) if draw(st.booleans()) else (across, centre, length, width)


@st.composite
def _boxes_near_the_aspect_limit(draw: st.DrawFn) -> Numbers:
    """Just under 50:1 in pixels, and over it once clipped."""
    ratio = draw(st.floats(44, 50.5))
    width = draw(st.sampled_from([0.5, 0.7, 0.9]))
    height = width * IMAGE_SIZE[0] / ratio / IMAGE_SIZE[1]
    outside = height * draw(st.sampled_from([0.0, 0.05, 0.08, 0.11]))
    return (0.5, 1 + outside - height / 2, width, height)


_DEGENERATE = st.sampled_from(
    [(0.5, 0.5, 0.0, 0.3), (0.5, 0.5, 0.3, -0.1), (0.5, 0.5, 0.9, 0.005), (1.3, 0.5, 0.1, 0.1), (0.5, 0.5, 1.3, 0.4),
     (0.5, 0.5, float("nan"), 0.1), (0.5, 0.5, float("inf"), 0.1), (0.5, 0.5, 0.001, 0.001), (0.5, 0.5, 0.3)]
)  # fmt: skip
_BOX = st.one_of(
    _boxes_inside(), _boxes_over_an_edge(), _boxes_over_an_edge(), _boxes_near_the_aspect_limit()
)


@st.composite
def _polygons(draw: st.DrawFn) -> Numbers:
    """Around a box, so that both may stand in one file; sometimes flat, crossing itself or outside."""
    x, y, w, h = draw(st.one_of(_boxes_inside(), _boxes_over_an_edge()))
    left, right, top, bottom = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    picked = draw(st.sampled_from([corners, corners[:3], [corners[0], corners[2], corners[1], corners[3]],
                                   [corners[0], corners[1], corners[0]], [*corners, (left, y)]]))  # fmt: skip
    return tuple(v for point in picked for v in point)


def _corners(box: Numbers) -> Numbers:
    x, y, w, h = box
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _in_pixels(numbers: Numbers) -> Numbers:
    return tuple(v * IMAGE_SIZE[i % 2] for i, v in enumerate(numbers))


@st.composite
def _rows(draw: st.DrawFn) -> str:
    numbers = draw(
        st.one_of(_BOX, _BOX, _BOX, _DEGENERATE, _polygons(), _BOX.map(_corners), _BOX.map(_in_pixels))
    )
    more = draw(st.sampled_from([(), (), (), (), (0.87,), (0.5, 0.5, 2.0)]))
    return _written(
        draw(st.one_of(_CLASS, _CLASS, _CLASS, _ODD_CLASS)),
        (*numbers, *more),
        draw(_DECIMALS),
        draw(_SEPARATOR),
    )


@st.composite
def _files_in_corners(draw: st.DrawFn) -> list[str]:
    """Enough rows for it to show, in shares or pixels; near the first corner they look like corners when converted."""
    n = draw(st.integers(1, 7))
    far = draw(st.sampled_from([0.3, 0.5, 1.0]))
    starts, sizes = draw(
        st.sampled_from([([0.0, 0.05, 0.1, 0.5, 0.8], [0.1, 0.2, 0.5, 0.9]), ([0.0, 0.05], [0.5, 0.9])])
    )
    rows = []
    for _ in range(n):
        x1, y1 = (draw(st.sampled_from(starts)) * far for _ in range(2))
        w, h = (draw(st.sampled_from(sizes)) * (far - low) for low in (x1, y1))
        rows.append((x1, y1, x1 + w, y1 + h))
    turned = draw(st.sampled_from([lambda numbers: numbers, _in_pixels]))
    decimals = draw(_DECIMALS)
    return [_written(draw(_CLASS), turned(numbers), decimals) for numbers in rows]


@st.composite
def _files_in_pixels(draw: st.DrawFn) -> list[str]:
    """Centre and size in pixels; a row of them may leave the image, read like that."""
    boxes = draw(st.lists(_BOX, min_size=1, max_size=4))
    decimals = draw(st.sampled_from([0, 1, 4]))
    return [_written(draw(_CLASS), _in_pixels(box), decimals) for box in boxes]


@st.composite
def _mixed_files(draw: st.DrawFn) -> list[str]:
    numbers = [
        *draw(st.lists(_BOX, min_size=1, max_size=3)),
        *draw(st.lists(_polygons(), min_size=1, max_size=3)),
    ]
    decimals = draw(_DECIMALS)
    return draw(st.permutations([_written(draw(_CLASS), row, decimals) for row in numbers]))


@st.composite
def _assorted_files(draw: st.DrawFn) -> list[str]:
    """Any rows, many of them twice: repairs of one row depend on what the others are."""
    pool = draw(st.lists(_rows(), min_size=1, max_size=4))
    return draw(st.lists(st.one_of(st.sampled_from(pool), _rows()), max_size=7))


@st.composite
def label_texts(draw: st.DrawFn) -> str:
    """Text of a label file."""
    rows = draw(
        st.one_of(
            _assorted_files(), _assorted_files(), _files_in_corners(), _files_in_pixels(), _mixed_files()
        )
    )
    lead = draw(st.sampled_from(["", "", "", " ", "\t"]))
    trail = draw(st.sampled_from(["", "", "", " ", "\t "]))
    end = draw(ENDS)
    text = "".join(f"{lead}{row}{trail}{end}" for row in rows)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    return draw(st.sampled_from(["", "", "\ufeff"])) + text
