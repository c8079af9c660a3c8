"""How much is read of files that somebody else made: every limit, with the reason for its size.

Each lies far above what honest datasets hold, and low enough that nothing read under it takes a gigabyte of memory.
"""

from __future__ import annotations

from sanitizer.util.bounded_read import MIB

LABEL_BYTES = 5 * MIB
"""A label, where L010's parameter says nothing else. The polygons of a crowded picture take under
1 MB; a table takes up to forty times the text that it is made from, and rows that are no numbers a hundred times while
they are explained."""

IMAGE_BYTES = 256 * MIB
"""An image that must be held as a whole: one in an archive, or one that Pillow looks at behind a server."""

LISTING_BYTES = 64 * MIB
"""The page on which a web server lists a folder: about half a million names."""

BODY_BYTES = 64 * MIB
"""An answer whose length is not known before it comes, as all files of a web server: eight may come at a time."""

CHUNK_LABEL_BYTES = 64 * MIB
"""Labels that are judged at once: as tables, they take up to ten times as much."""

LISTED_NAMES = 5_000_000
"""Files and folders that the listings of one server or archive hold. The largest public detection sets have 4 million
files."""

LISTED_FOLDERS = 20_000
"""Folders that a web server is asked to list, one request each."""

LISTED_DEPTH = 40
"""Folders within folders below the dataset's own."""

MEMBER_NAME_BYTES = 4096
"""A path in an archive, as PATH_MAX: no disk takes a longer one."""

MEMBER_DEPTH = 100
"""Folders within folders in an archive."""

ZIP_MEMBERS = 1_500_000
"""Members of a zip archive, each of which takes some 500 bytes of memory."""

ZIP_DIRECTORY_BYTES = 256 * MIB
"""The directory at the end of a zip archive: some 100 bytes a member."""

ZIP_FOLDERS_BYTES = 128 * MIB
"""Memory for the folders of a zip archive: a quarter of a million."""

DICTIONARY_BYTES = 128 * MIB
"""Memory that an xz or LZMA stream may need to be unpacked: a stream of `xz -9` needs 64 MB."""

EXTENSION_BYTES = MIB
"""Extended headers before one member of a tar archive: long names, pax records, the map of a sparse file."""

UNPACKED_TIMES = 100
"""An archive may unpack to so many times its own size (see `UNPACKED_FLOOR_BYTES`). Images do not become smaller by
packing; a shard of label files alone may reach 30 times."""

UNPACKED_FLOOR_BYTES = 256 * MIB
"""Every archive may unpack to this size, whatever its own size."""

SAMPLED_BYTES = 16 * MIB
"""Read of a packed file where only a few labels at its start are needed."""

WAITING_LABEL_BYTES = 256 * MIB
"""Labels of a tar archive that are held until their images are read."""

NDJSON_LINE_BYTES = 16 * MIB
"""A record of an NDJSON file; parsed, it takes up to thirty times as much memory."""

NDJSON_NAME_BYTES = MEMBER_NAME_BYTES
"""The file name in a record."""

EXTENSIONS_FLOOR_BYTES, EXTENSIONS_TIMES = 8 * MIB, 16
"""What stands before all members of a compressed tar archive: so much, and so many times the archive's own bytes. Its
records take a hundred times as long to read as they take to unpack."""


def unpacked_limit(packed_bytes: int) -> int:
    """The most bytes that an archive of so many bytes may unpack to."""
    return max(UNPACKED_FLOOR_BYTES, UNPACKED_TIMES * packed_bytes)
