"""What a `when` expression and a message template may name: columns of a chunk, each computed at most once.

Unknown numbers are NaN. All sizes in pixels are those of the upright image, as training sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sanitizer.dataset.tables import IMAGE_FORMATS, RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sanitizer.dataset.tables import ChunkTables, TaskSpec
    from sanitizer.rules.hits import Params
    from sanitizer.rules.language.expression import Kind

KIND_TEXT = {
    RowKind.FAULTY: "faulty row",
    RowKind.BOX: "box",
    RowKind.POLYGON: "polygon",
    RowKind.POSE: "pose",
    RowKind.OBB: "obb",
}


class _Columns:
    """Columns by name; subclasses say how each is made."""

    _makers: ClassVar[Mapping[str, Callable[[Any], Any]]]

    def __init__(self, tables: ChunkTables, spec: TaskSpec, imgsz: int) -> None:
        self.tables, self.labels, self.images = tables, tables.labels, tables.images
        self.spec, self.imgsz = spec, imgsz
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The column: an array as long as the scope has rows, or one number for all."""
        if name not in self._made:
            with np.errstate(all="ignore"):  # a row may well hold infinities
                self._made[name] = self._makers[name](self)
        return self._made[name]

    def clear(self) -> None:
        """Free all columns made so far; a column that is named again is made again."""
        self._made.clear()

    def _image_sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(width, height), float64 (F,), upright pixels, NaN where unknown."""
        width, height = self.images.upright_size()
        return _known(width, width > 0), _known(height, height > 0)

    def _class_count(self) -> float:
        """nc, or NaN where the data.yaml does not say."""
        return np.nan if self.spec.nc is None else float(self.spec.nc)


class RowColumns(_Columns):
    """One value a label row. A faulty row has a class, a line and a number of columns; the rest of it is NaN."""

    def __len__(self) -> int:
        return len(self.labels)

    def _xywh(self, i: int) -> NDArray[np.float64]:
        if "xywh" not in self._made:
            self._made["xywh"] = np.ascontiguousarray(self.labels.xywh.T)
        column: NDArray[np.float64] = self._made["xywh"][i]
        return column

    def _edge(self, centre: str, size: str, side: float) -> Any:
        return self[centre] + side * self[size] / 2

    def _image_side(self, i: int) -> Any:
        if "sides" not in self._made:
            self._made["sides"] = [side[self.labels.file] for side in self._image_sides()]
        return self._made["sides"][i]

    def _net_scale(self) -> Any:
        """Pixels of the network's input for one image pixel: load_image scales the long side to imgsz, up too."""
        return self.imgsz / np.maximum(self["img_w"], self["img_h"])

    def _aspect(self) -> Any:
        """Long side over short side, in pixels; in normalised units where the image size is unknown."""
        unknown = np.isnan(self["img_w"])
        w = np.abs(np.where(unknown, self["w"], self["w_px"]))
        h = np.abs(np.where(unknown, self["h"], self["h_px"]))
        ratio = np.maximum(w, h) / np.minimum(w, h)
        ratio[np.minimum(w, h) == 0] = np.inf
        return ratio

    def _class_names(self) -> NDArray[np.object_]:
        ids, inverse = np.unique(self.labels.class_id, return_inverse=True)
        names = self.spec.names
        texts = [names.get(int(i), f"class {i:g}") if np.isfinite(i) else "no class" for i in ids]
        return np.array(texts, dtype=object)[inverse.reshape(-1)]

    def _kind_texts(self) -> NDArray[np.object_]:
        texts = np.empty(max(RowKind) + 1, object)
        for kind, text in KIND_TEXT.items():
            texts[kind] = text
        column: NDArray[np.object_] = texts[self.labels.kind]
        return column

    def _is_kind(self, kind: RowKind) -> NDArray[np.bool_]:
        return np.asarray(self.labels.kind == kind)

    _makers: ClassVar = {
        "x": lambda c: c._xywh(0),
        "y": lambda c: c._xywh(1),
        "w": lambda c: c._xywh(2),
        "h": lambda c: c._xywh(3),
        "x1": lambda c: c._edge("x", "w", -1),
        "y1": lambda c: c._edge("y", "h", -1),
        "x2": lambda c: c._edge("x", "w", 1),
        "y2": lambda c: c._edge("y", "h", 1),
        "area": lambda c: c["w"] * c["h"],
        "img_w": lambda c: c._image_side(0),
        "img_h": lambda c: c._image_side(1),
        "w_px": lambda c: c["w"] * c["img_w"],
        "h_px": lambda c: c["h"] * c["img_h"],
        "net_scale": lambda c: c._net_scale(),
        "w_net": lambda c: c["w_px"] * c["net_scale"],
        "h_net": lambda c: c["h_px"] * c["net_scale"],
        "aspect": lambda c: c._aspect(),
        "class_id": lambda c: c.labels.class_id,
        "columns": lambda c: c.labels.n_columns,
        "line": lambda c: c.labels.line,
        "is_faulty": lambda c: c._is_kind(RowKind.FAULTY),
        "is_box": lambda c: c._is_kind(RowKind.BOX),
        "is_polygon": lambda c: c._is_kind(RowKind.POLYGON),
        "is_pose": lambda c: c._is_kind(RowKind.POSE),
        "is_obb": lambda c: c._is_kind(RowKind.OBB),
        "nc": lambda c: c._class_count(),
        "imgsz": lambda c: float(c.imgsz),
        "class_name": lambda c: c._class_names(),
        "kind": lambda c: c._kind_texts(),
    }


class FileColumns(_Columns):
    """One value an image/label pair."""

    def __len__(self) -> int:
        return self.labels.n_files

    _makers: ClassVar = {
        "img_w": lambda c: c._image_sides()[0],
        "img_h": lambda c: c._image_sides()[1],
        "orientation": lambda c: c.images.orientation,
        "channels": lambda c: _known(c.images.channels, c.images.channels > 0),
        "bit_depth": lambda c: _known(c.images.bit_depth, c.images.bit_depth > 0),
        "size_bytes": lambda c: _known(c.images.size_bytes, c.images.size_bytes >= 0),
        "n_rows": lambda c: rows_per_file(c.tables),
        "nc": lambda c: c._class_count(),
        "imgsz": lambda c: float(c.imgsz),
        "format": lambda c: np.array(IMAGE_FORMATS, dtype=object)[c.images.format],
    }


def rows_per_file(tables: ChunkTables) -> NDArray[np.int64]:
    """int64 (F,): label rows that could be read, of any kind."""
    labels = tables.labels
    return np.bincount(labels.file[labels.kind != RowKind.FAULTY], minlength=labels.n_files)


def _known(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(known, values, np.nan)


_TEXT_NAMES = {"row": ("class_name", "kind"), "file": ("format",)}


def _numbers_of(makers: Mapping[str, object], texts: tuple[str, ...]) -> dict[str, Kind]:
    return {n: "truth" if n.startswith("is_") else "number" for n in makers if n not in texts}


_EXPRESSION_NAMES: dict[str, dict[str, Kind]] = {
    "row": _numbers_of(RowColumns._makers, _TEXT_NAMES["row"]),
    "file": _numbers_of(FileColumns._makers, _TEXT_NAMES["file"]),
}


def expression_names(scope: str) -> dict[str, Kind]:
    """The names that expressions of a scope may use, and what each is; the rule's parameters come on top."""
    if scope == "recipe":
        from sanitizer.rules.recipe_facts import RECIPE_NAMES  # not worth its time where no recipe is judged

        return RECIPE_NAMES
    return _EXPRESSION_NAMES[scope]


def text_names(scope: str) -> tuple[str, ...]:
    """What messages of a scope may name besides the numbers; expressions may not."""
    if scope == "recipe":
        from sanitizer.rules.recipe_facts import RECIPE_TEXTS

        return RECIPE_TEXTS
    return _TEXT_NAMES[scope]


class WithParams(Mapping[str, Any]):
    """The columns of a chunk and the parameters of one rule under one roof."""

    def __init__(self, columns: RowColumns | FileColumns, params: Params) -> None:
        self._columns, self._params = columns, params

    def __getitem__(self, name: str) -> Any:
        if name not in self._params.values:
            return self._columns[name]
        if not self._params.per_class or isinstance(self._columns, FileColumns):
            return self._params[name]
        return self._params.by_class(name, self._columns["class_id"])

    def __iter__(self) -> Any:
        return iter((*self._columns._makers, *self._params.values))

    def __len__(self) -> int:
        return len(self._columns._makers) + len(self._params.values)
