"""D013: a split whose class ids seem to be those of another list, or whose classes training never sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from sanitizer.dataset.tables import DatasetFault, RowKind
from sanitizer.labels.heads import whole_lines
from sanitizer.rules.checks import dataset_check
from sanitizer.util.chance import at_least_by_chance
from sanitizer.util.counting import in_thousands, listed
from sanitizer.util.robust import centre_and_spread
from sanitizer.util.spill import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sanitizer.rules.hits import Params
    from sanitizer.rules.survey import SplitSums, Survey

MOST_FILES = 300
"""Label files of a split that are read, evenly from all of it. Of remote ones the first bytes were kept."""
MOST_PERMUTED = 6
"""Classes of which every order is tried; of more, the orders that tools are known to make."""
WORTH_READING = 0.1
"""Share of the rows that must be of another class than in train before any file is read: less hides no other order."""
CHANCE = 0.001
"""How likely each kind of evidence may be by chance, over all orders that are tried."""
SIGMAS = 4.0
"""How far the share of files with a class may be from that of train in the right order, in standard deviations."""
LEAST_SPREAD = 0.05
"""In octaves of a side: boxes of one class are never more alike than they can be drawn."""
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of some label files of a split. R rows of N files.

    Attributes:
        class_id, file: int64 (R,).
        shape: float64 (R, 2) log2 of width and height in pixels, or of their shares where no size is known.
        n_files: N, all of which have a row.
    """

    class_id: NDArray[np.int64]
    file: NDArray[np.int64]
    shape: NDArray[np.float64]
    n_files: int

    def files_with(self) -> Mapping[int, int]:
        """Class id to number of files that hold it."""
        pairs = np.unique(np.column_stack([self.class_id, self.file]), axis=0)
        ids, counts = np.unique(pairs[:, 0], return_counts=True)
        return dict(zip(ids.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """What the ids of a split would mean.

    Attributes:
        means: int64 (nc,) the class of data.yaml that each id of the split stands for.
        fitting, files: Files whose boxes are shaped as train's under this order, of those that tell.
    """

    means: NDArray[np.int64]
    fitting: int
    files: int


@dataset_check("split-classes")
def split_classes(survey: Survey, params: Params) -> Iterator[DatasetFault]:
    """D013: at most one finding for each split beside train; none for packed files, which are not read again."""
    nc = survey.spec.nc
    numbers = {split.name: i for i, split in enumerate(survey.splits) if split.class_rows}
    if not nc or nc < 2 or "train" not in numbers or survey.packed_files is not None:
        return
    train = survey.splits[numbers["train"]]
    train_rows: _Rows | None = None
    for name, i in numbers.items():
        here = survey.splits[i]
        unseen = [c for c in here.class_rows if 0 <= c < nc and c not in train.class_rows]
        if name == "train" or not (unseen or _differ(train, here) >= WORTH_READING):
            continue
        rows = _read(survey, i)
        train_rows = train_rows or _read(survey, numbers["train"])
        order = _other_order(survey, train_rows, rows)
        if order is not None:
            yield _fault(survey, name, _order_words(survey, name, order), _ORDER_ADVICE, order.files)
        elif unseen:
            yield from _unseen(survey, train, here, rows, unseen)


_ORDER_ADVICE = (
    "Look at some images of both splits; export the wrong one again with the class list of data.yaml, or write its "
    "ids anew."
)


def _differ(a: SplitSums, b: SplitSums) -> float:
    """Share of rows that would have to change their class for both splits to have the same shares."""
    totals = a.class_rows.total(), b.class_rows.total()
    classes = a.class_rows.keys() | b.class_rows.keys()
    return sum(abs(a.class_rows[c] / totals[0] - b.class_rows[c] / totals[1]) for c in classes) / 2


def _read(survey: Survey, split: int) -> _Rows:
    from sanitizer.labels.label_files import parse_labels, read_labels

    pairs = _chosen_pairs(survey, split)
    if survey.dataset.storage.remote:
        table = parse_labels([whole_lines(survey.label_heads[i]) for i in pairs], survey.spec)
    else:
        table = read_labels([survey.label_path(i) for i in pairs], survey.spec)
    ids, sides = table.class_id, table.xywh[:, 2:4]
    nc = survey.spec.nc or 0
    good = (table.kind != RowKind.FAULTY) & (ids >= 0) & (ids < nc) & (ids == np.floor(ids))
    good &= np.all((sides > 0) & (sides <= 1), axis=1)
    size = np.array([[survey.width[i], survey.height[i]] for i in pairs], np.float64).reshape(-1, 2)
    size[np.any(size <= 0, axis=1)] = 1
    file = table.file[good].astype(np.int64)
    return _Rows(ids[good].astype(np.int64), file, np.log2(sides[good] * size[file]), len(np.unique(file)))


def _chosen_pairs(survey: Survey, split: int) -> list[int]:
    """Pairs with rows, evenly from all of a split."""
    start, stop = survey.split_start[split : split + 2].tolist()
    if survey.dataset.storage.remote:
        return sorted(i for i in survey.label_heads if start <= i < stop)
    has_rows = [
        start + part.start + np.flatnonzero(survey.n_rows[start + part.start : start + part.stop])
        for part in blocks(stop - start)
    ]
    pairs = np.concatenate([np.zeros(0, np.int64), *has_rows])
    if len(pairs) > MOST_FILES:
        pairs = pairs[np.linspace(0, len(pairs) - 1, MOST_FILES).astype(np.int64)]
    return [int(i) for i in pairs]


def _other_order(survey: Survey, train: _Rows, here: _Rows) -> _Order | None:
    """The order of classes under which a split is like train, by how many files hold a class and by shapes of boxes."""
    nc = survey.spec.nc or 0
    orders = _orders(nc, survey.spec.names)
    if not train.n_files or not here.n_files:
        return None
    in_train, in_here = train.files_with(), here.files_with()
    expected = np.array([(in_train.get(c, 0) + 1) / (train.n_files + 2) for c in range(nc)])
    held = np.array([in_here.get(c, 0) for c in range(nc)])
    limit = CHANCE / len(orders)
    margin = SIGMAS * np.sqrt(expected * (1 - expected) * (1 / train.n_files + 1 / here.n_files))

    def fit(means: NDArray[np.int64]) -> float:
        p = expected[means]
        return float(np.sum(held * np.log(p) + (here.n_files - held) * np.log1p(-p)))

    own = fit(np.arange(nc))
    # Under the order of data.yaml, a likelihood is so many times higher by chance in one of so many sets at most.
    better = [means for means in orders if own - fit(means) <= math.log(limit)]
    # A split of other scenes fits no order: the right one must leave nothing to explain.
    better = [
        means for means in better if np.all(np.abs(held / here.n_files - expected[means]) <= margin[means])
    ]
    if not better:
        return None
    shapes = _usual_shapes(train, nc)
    as_named = _shape_scores(here, shapes, np.arange(nc))
    found: list[tuple[float, _Order]] = []
    in_file = np.maximum(1, np.bincount(here.file))
    for means in better:
        gain = _shape_scores(here, shapes, means) - as_named
        # Boxes of one image are no independent witnesses: each file counts once.
        per_file = np.bincount(here.file, gain) / in_file
        order = _Order(means, int(np.count_nonzero(per_file > 0)), int(np.count_nonzero(per_file)))
        if at_least_by_chance(order.fitting, order.files, 0.5) <= limit:
            found.append((fit(means) + float(per_file.sum()), order))
    return max(found, key=lambda scored: scored[0])[1] if found else None


def _orders(nc: int, names: Mapping[int, str]) -> list[NDArray[np.int64]]:
    """Orders other than that of data.yaml: all of a few classes; of many, those that tools make."""
    own = np.arange(nc)
    if nc <= MOST_PERMUTED:
        found = [np.array(order) for order in permutations(range(nc))]
    else:
        by_name = sorted(range(nc), key=lambda c: names.get(c, ""))
        by_folded = sorted(range(nc), key=lambda c: names.get(c, "").casefold())
        by_text = sorted(range(nc), key=str)
        made = [np.array(order) for order in (by_name, by_folded, by_text)]
        inverse = [np.argsort(order) for order in made]
        found = [*made, *inverse, own[::-1], np.roll(own, 1), np.roll(own, -1)]
    kept = {tuple(order.tolist()): order for order in found if not np.array_equal(order, own)}
    return list(kept.values())


def _usual_shapes(train: _Rows, nc: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(medians, spreads), each float64 (nc, 2): of the shapes of each class of train."""
    middles, spreads = np.zeros((nc, 2)), np.zeros((nc, 2))
    for c in range(nc):
        shape = train.shape[train.class_id == c]
        if len(shape) < 2:
            shape = train.shape  # nothing is known of this class
        middles[c], spread = centre_and_spread(shape)
        spreads[c] = np.maximum(LEAST_SPREAD, spread)
    return middles, spreads


def _shape_scores(
    here: _Rows, shapes: tuple[NDArray[np.float64], NDArray[np.float64]], means: NDArray[np.int64]
) -> NDArray[np.float64]:
    """float64 (R,): log density of the shape of each row among those of the class of train that its id means.

    All boxes of a split may be larger or smaller than those of train, as other cameras make them: that tells nothing.
    """
    middles, spreads = (of_class[means[here.class_id]] for of_class in shapes)
    apart = here.shape - middles
    apart -= np.median(apart, axis=0)
    # A Laplace density: far outliers weigh no more than by their distance.
    scores: NDArray[np.float64] = -np.sum(np.abs(apart) / spreads + np.log(spreads), axis=1)
    return scores


def _order_words(survey: Survey, name: str, order: _Order) -> str:
    names = survey.spec.names
    moved = np.flatnonzero(order.means != np.arange(len(order.means))).tolist()
    pairs = [f"{c} looks like {order.means[c]} ({names.get(int(order.means[c]), '?')})" for c in moved]
    known = _known_order(order.means, names)
    return (
        f"the class ids of {name} look like those of another class list{known}: {listed(pairs, NAMES_SHOWN)}; read so, "
        "the shares of label files that hold each class are more like those of train, and boxes of "
        f"{order.fitting} of {in_thousands(order.files, 'label file')} are shaped more like those of train"
    )


def _known_order(means: NDArray[np.int64], names: Mapping[int, str]) -> str:
    nc = len(means)
    by_name = sorted(range(nc), key=lambda c: names.get(c, ""))
    return ", in alphabetical order" if nc > 2 and means.tolist() == by_name else ""


def _unseen(
    survey: Survey, train: SplitSums, here: SplitSums, rows: _Rows, unseen: Sequence[int]
) -> Iterator[DatasetFault]:
    """Classes that a split has in more files than a split at random would keep from train."""
    share = train.labels / sum(split.labels for split in survey.splits)
    held = rows.files_with()
    odd = [c for c in unseen if (1 - share) ** held.get(c, 0) <= CHANCE / len(unseen)]
    if not odd:
        return
    names = survey.spec.names
    told = [f"{c} ({names[c]})" if c in names else str(c) for c in sorted(odd)]
    n_rows = sum(here.class_rows[c] for c in odd)
    detail = (
        f"{in_thousands(n_rows, 'row')} of {here.name} {'is' if n_rows == 1 else 'are'} of classes that no label file "
        f"of train holds: {listed(told, NAMES_SHOWN)}; training never sees them, and {here.name} counts them as missed"
    )
    advice = (
        f"If {here.name} was exported with another class list, export it again with that of data.yaml; "
        "else split anew, so that every class is in train."
    )
    yield _fault(survey, here.name, detail, advice, n_rows)


def _fault(survey: Survey, split: str, detail: str, advice: str, value: float) -> DatasetFault:
    return DatasetFault(
        "D013",
        file=survey.dataset.yaml_path or survey.dataset.root,
        split=split,
        values={"detail": detail, "value": value},
        suggestion=advice,
    )
