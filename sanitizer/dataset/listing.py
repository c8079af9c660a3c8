"""Lists folders, each once, and gathers a split's images in the order in which Ultralytics sorts them."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanitizer.storage.base import LOCAL, Storage
from sanitizer.util.paths import is_absolute, real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

IMAGE_EXTENSIONS = frozenset(
    ("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp")
)
"""Ultralytics' IMG_FORMATS; compared in lower case."""

_USUAL_IMAGES = (".jpg", ".png", ".jpeg")

FOREIGN_IMAGES = frozenset(
    (
        "arw",
        "cr2",
        "gif",
        "hdr",
        "ico",
        "jfif",
        "jpe",
        "jxl",
        "nef",
        "pbm",
        "pfm",
        "pgm",
        "ppm",
        "psd",
        "svg",
        "tga",
    )
)
"""Extensions of pictures that Ultralytics never opens; compared in lower case."""

ARCHIVES = frozenset(("7z", "gz", "rar", "tar", "tgz", "zip"))
"""Extensions of archives, in lower case."""

_NOTABLE = FOREIGN_IMAGES | ARCHIVES | {"xml", "json"}
MAX_NOTABLE = 10_000
"""The most such names that are kept of one folder."""

MAX_LINKED_FOLDERS = 1000
"""Folders reached through symbolic links in one walk: links that lead to each other would multiply without end."""

MAX_FILES = 25_000_000
"""The most names that are listed for one dataset: ten million images and their labels are 20 million."""

MAX_FILES_VARIABLE = "SANITIZE_MAX_FILES"
"""Environment variable that raises, or lowers, that number."""


class TooManyFilesError(Exception):
    """A folder or list has more files than may be listed; the text is one sentence for the user."""

    def __init__(self, path: str, limit: int) -> None:
        super().__init__(
            f"{path} leads to more than {limit:,} files, so listing them was given up: name a smaller folder, or "
            f"set {MAX_FILES_VARIABLE} to a larger number"
        )


def max_files() -> int:
    """The most names that may be listed for one dataset."""
    wanted = os.environ.get(MAX_FILES_VARIABLE, "")
    return int(wanted) if wanted.isascii() and wanted.isdigit() and 0 < len(wanted) < 19 else MAX_FILES


_IMAGES, _LABELS = "/images/", "/labels/"


def is_image_name(name: str) -> bool:
    """Whether training takes a file of that name for an image."""
    return name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS and "." in name


def label_folder(image_folder: str) -> str:
    """Where training looks for the labels of a folder's images: the last /images/ becomes /labels/."""
    return _LABELS.join(f"{image_folder}/".rsplit(_IMAGES, 1))[:-1]


def label_of(image: str) -> str:
    """Where training looks for the label of an image, whose path holds its folders."""
    folder, _, name = image.rpartition("/")
    return f"{label_folder(folder)}/{name.rsplit('.', 1)[0]}.txt"


def image_folder(of_labels: str) -> str:
    """The folder whose images a label folder belongs to: the inverse of `label_folder`."""
    return _IMAGES.join(f"{of_labels}/".rsplit(_LABELS, 1))[:-1]


@dataclass(slots=True)
class ListedFolder:
    """The names in one folder, sorted by kind.

    Attributes:
        path: The path as the caller gave it.
        images: Names with an image file extension, hidden ones left out.
        label_names: Names that end in exactly `.txt`.
        misspelt_labels: Names that end in .TXT, .Txt, …, which training does not find.
        caches: Names that end in `.cache`.
        others: Number of other files.
        notable: Names of some of those, at most MAX_NOTABLE: pictures that training never opens, archives, .xml, .json.
        subfolders: Names of folders, hidden ones left out; links to folders are among them.
        links: Those of them that are symbolic links.
        hidden_images: Names with an image file extension that begin with a dot.
        hidden_folders: Names of folders that begin with a dot.
        error: Why the folder cannot be listed, or None.
    """

    path: str
    images: list[str] = field(default_factory=list)
    label_names: list[str] = field(default_factory=list)
    misspelt_labels: list[str] = field(default_factory=list)
    caches: list[str] = field(default_factory=list)
    others: int = 0
    notable: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    hidden_images: list[str] = field(default_factory=list)
    hidden_folders: list[str] = field(default_factory=list)
    error: str | None = None
    _labels: set[str] | None = field(default=None, repr=False)

    @property
    def labels(self) -> set[str]:
        """The label names, to look for single ones: made when first asked for."""
        if self._labels is None:
            self._labels = set(self.label_names)
        return self._labels

    @property
    def n_names(self) -> int:
        """How many names are in it."""
        return (
            len(self.images) + len(self.label_names) + len(self.misspelt_labels) + len(self.caches)
            + self.others + len(self.subfolders)
        )  # fmt: skip


def _list_folder(path: str) -> ListedFolder:
    folder = ListedFolder(path)
    try:
        # Every subfolder links back to its parent by `..`. Where exactly two links exist there is none, and only
        # names without a known extension can still be links to folders. File systems that do not count links say 1.
        names = os.listdir(path) if os.stat(path).st_nlink == 2 else _list_with_subfolders(folder)
    except (OSError, ValueError) as error:
        folder.error = getattr(error, "strerror", None) or type(error).__name__
        return folder
    folder.label_names = [name for name in names if name.endswith(".txt")]
    if len(folder.label_names) < len(names):
        _sort_out(folder, names)
    return folder


def _list_with_subfolders(folder: ListedFolder) -> list[str]:
    """All names in the folder; those of subfolders are noted too. A folder a.jpg is an image to Ultralytics' glob."""
    with os.scandir(folder.path) as entries:
        kinds = [(entry.name, _is_folder(entry)) for entry in entries]
    for name, is_folder in kinds:
        if is_folder:
            _add_subfolder(folder, name)
    return [name for name, _ in kinds]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _add_subfolder(folder: ListedFolder, name: str) -> None:
    if name[0] != ".":
        folder.subfolders.append(name)
        if os.path.islink(f"{folder.path}/{name}"):
            folder.links.add(name)
    else:
        folder.hidden_folders.append(name)


def _sort_out(
    folder: ListedFolder, names: Sequence[str], is_folder: Callable[[str], bool] = os.path.isdir
) -> None:
    """Sort names into images, misspelt labels, caches and others."""
    folder.images = [name for name in names if name.endswith(_USUAL_IMAGES) and name[0] != "."]
    if len(folder.images) == len(names):
        return
    if folder.images:
        names = [name for name in names if not name.endswith(_USUAL_IMAGES) or name[0] == "."]
    add_image, extensions = folder.images.append, IMAGE_EXTENSIONS
    subfolders = {*folder.subfolders, *folder.hidden_folders}
    for name in names:
        stem, dot, extension = name.rpartition(".")
        if dot and extension.lower() in extensions:
            if stem and name[0] != ".":
                add_image(name)
            else:
                folder.hidden_images.append(name)
        elif dot and extension == "cache":
            folder.caches.append(name)
        elif dot and extension.lower() == "txt":
            if extension != "txt":
                folder.misspelt_labels.append(name)
        elif name not in subfolders:
            if not is_folder(f"{folder.path}/{name}"):
                folder.others += 1
                if extension.lower() in _NOTABLE and name[0] != "." and len(folder.notable) < MAX_NOTABLE:
                    folder.notable.append(name)
            else:
                _add_subfolder(folder, name)


def _list_remote(storage: Storage, path: str) -> ListedFolder:
    """The same from a storage that says which names are folders."""
    folder = ListedFolder(path)
    names, folders = [], set()
    try:
        for entry in storage.list(path):
            names.append(entry.name)
            if entry.is_folder:
                folders.add(f"{path}/{entry.name}")
    except OSError as error:
        folder.error = error.strerror or type(error).__name__
        return folder
    folder.label_names = [name for name in names if name.endswith(".txt")]
    for full in folders:
        name = full[len(path) + 1 :]
        (folder.hidden_folders if name[0] == "." else folder.subfolders).append(name)
    _sort_out(folder, names, folders.__contains__)
    return folder


@functools.cache
def _virtual_devices() -> frozenset[int]:
    """Device numbers of the kernel's virtual file systems: /proc and /sys are large, and change while they are read."""
    devices = set()
    for path in ("/proc", "/sys"):
        with contextlib.suppress(OSError):
            devices.add(os.stat(path).st_dev)
    with contextlib.suppress(OSError):
        devices.discard(os.stat("/").st_dev)
    return frozenset(devices)


def _is_virtual(identity: Hashable) -> bool:
    return isinstance(identity, tuple) and bool(identity) and identity[0] in _virtual_devices()


def is_everything(path: str) -> bool:
    """Whether a path is the whole disk, a folder of the kernel's, or a user's home, and so no split of a dataset."""
    real = real_path(path)
    places = ["/proc", "/sys", "/dev"]
    home = os.path.expanduser("~")
    if is_absolute(home):  # a user without HOME who is not in the list of users has none
        home = real_path(home)
        places += [home, os.path.dirname(home)]
    return real in places or os.path.dirname(real) == real


class Listing:
    """Lists folders; each is read once.

    Attributes:
        storage: Where they are.
        max_files: The most names that are read.
        names_left: How many names may still be read.
    """

    def __init__(self, storage: Storage = LOCAL) -> None:
        self.storage = storage
        self.max_files = max_files()
        self.names_left = self.max_files
        self._folders: dict[str, ListedFolder] = {}
        self.unfollowed: set[str] = set()
        """Roots of walks that met more than MAX_LINKED_FOLDERS linked folders."""

    def __reduce__(self) -> tuple[type[Listing], tuple[Storage]]:
        """A copy in another process lists anew."""
        return Listing, (self.storage,)

    def kept_small(self, most_names: int) -> Listing:
        """A listing that knows the small folders of this one, of `most_names` names in all, and lists others anew."""
        kept = Listing(self.storage)
        for path, folder in self._folders.items():
            if folder.n_names <= most_names:
                most_names -= folder.n_names
                kept._folders[path] = folder
        return kept

    def knows(self, path: str) -> bool:
        """Whether the folder was listed already."""
        return path in self._folders

    def folder(self, path: str) -> ListedFolder:
        """The folder's names; empty, with `error` set, where it cannot be listed.

        Raises:
            TooManyFilesError: As `walk`.
        """
        found = self._folders.get(path)
        if found is None:
            local = not self.storage.remote
            found = _list_folder(path) if local else _list_remote(self.storage, path)
            self._folders[path] = found
            # The folder itself counts, too: else a tree of empty folders could be endless.
            self.spend(path, 1 + found.n_names)
        return found

    def spend(self, path: str, n_names: int) -> None:
        """Count names that were read from a folder or list. TooManyFilesError where there are too many in all."""
        self.names_left -= n_names
        if self.names_left < 0:
            raise TooManyFilesError(path, self.max_files)

    def walk(self, root: str) -> Iterator[ListedFolder]:
        """The folder and all below it that are not hidden, through links too, but never into a parent again.

        Virtual folders of the kernel, such as /proc and /sys, are left out.

        Raises:
            TooManyFilesError: All folders listed so far hold more than `max_files` names.
        """
        self.storage.prefetch_listings(root)
        linked = 0
        waiting: list[tuple[str, tuple[Hashable, ...], bool]] = [(root, (), False)]
        while waiting:
            path, parents, by_link = waiting.pop()
            identity = self.storage.identity(path)
            if identity is None or identity in parents:
                continue
            if parents and _is_virtual(identity):
                continue
            if by_link:
                linked += 1
                if linked > MAX_LINKED_FOLDERS:
                    self.unfollowed.add(root)
                    continue
            folder = self.folder(path)
            yield folder
            above = (*parents, identity)
            for name in sorted(folder.subfolders, reverse=True):
                waiting.append((f"{path}/{name}", above, by_link or name in folder.links))

    def count_images(self, root: str) -> int:
        """Number of images that training would find under a folder."""
        return sum(len(folder.images) for folder in self.walk(root))
