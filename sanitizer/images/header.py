"""Size, orientation and channels of a JPEG or PNG from its first bytes, without decoding.

A header is accepted only if it is healthy in everything that Pillow checks. Any other header is `ODD`: then the
caller lets Pillow read it, so that our result is the same as that of training.
"""

from __future__ import annotations

import re
from struct import Struct
from zlib import crc32

from sanitizer.dataset.tables import IMAGE_FORMATS

Header = tuple[int, int, int]
"""(width_px, height_px, packed facts), as stored in the file. See `pack`."""

NEED_MORE = "need more"
"""The header goes on beyond the bytes at hand."""
ODD = "odd"
"""Not certainly healthy: Pillow has to read it."""

FORMAT_NUMBER = {name: number for number, name in enumerate(IMAGE_FORMATS)}
JPEG = FORMAT_NUMBER["jpeg"]
PNG = FORMAT_NUMBER["png"]

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

MIN_SIDE_PX = 10
"""Training drops an image with a shorter side (check_image asks for more than 9)."""

MAX_QUIET_PIXELS = 89_478_485
"""Pillow warns above this number of pixels, and refuses above twice this number (PIL.Image.MAX_IMAGE_PIXELS)."""


def pack(orientation: int, image_format: int, channels: int, bit_depth: int, pages: int = 1) -> int:
    """Five small facts in one int, so that the reading loop appends one value instead of five."""
    return orientation | image_format << 4 | channels << 8 | bit_depth << 12 | (pages - 1 & 255) << 18


_MARKER = Struct(">HH")
_FRAME = Struct(">HBHHB")
_SOS = 0xFFDA
_DQT = 0xFFDB
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xFFE0, 0xFFE1, 0xFFE2, 0xFFED, 0xFFEE
_FRAMES = frozenset({0xFFC0, 0xFFC1, 0xFFC2, 0xFFC3, 0xFFC5, 0xFFC6, 0xFFC7, 0xFFC9, 0xFFCA, 0xFFCB, 0xFFCD})
_SKIPPED = frozenset({0xFFC4, 0xFFCC, 0xFFDD, 0xFFFE, *range(0xFFE3, 0xFFF0)} - {_APP13, _APP14})
"""Segments that are skipped: Huffman tables, restart interval, comments, most APPn."""

_JPEG_FACTS = {n: pack(0, JPEG, n, 8) for n in (1, 3, 4)}
_EXIF_MARK = b"Exif\x00\x00"


def jpeg_header(block: bytes) -> Header | str:
    """(width, height, facts) of a JPEG from its first bytes; NEED_MORE or ODD.

    Walks every segment from the start of the file to the first scan (ITU-T T.81, annex B).
    """
    end = len(block)
    at = 2
    width = height = facts = orientation = 0
    seen_exif = xmp_orientation = False
    unpack = _MARKER.unpack_from
    while at + 4 <= end:
        marker, length = unpack(block, at)
        following = at + 2 + length
        if following > end:
            return NEED_MORE
        if marker in _SKIPPED:
            if length < 2:
                return ODD
        elif marker == _DQT:
            if not _plain_quantisation(block, at + 4, following):
                return ODD
        elif marker in _FRAMES:
            if length < 8 or facts:
                return ODD
            _, bits, height, width, layers = _FRAME.unpack_from(block, at + 2)
            if bits != 8 or not width or not height or layers not in _JPEG_FACTS or length != 8 + 3 * layers:
                return ODD
            if width * height > MAX_QUIET_PIXELS:
                return ODD
            facts = _JPEG_FACTS[layers]
        elif marker == _SOS:
            if not facts or length < 2 or (xmp_orientation and not orientation):
                return ODD
            return width, height, facts | orientation
        elif marker == _APP0:
            if length < 16 and block.startswith(b"JFIF", at + 4):
                return ODD
        elif marker == _APP1:
            if block.startswith(_EXIF_MARK, at + 4):
                found = ODD if seen_exif else exif_orientation(block[at + 10 : following])
                if not isinstance(found, int):
                    return ODD
                seen_exif, orientation = True, found
            elif block.find(b"tiff:Orientation", at + 4, following) >= 0:
                xmp_orientation = True
        elif not _plain_application_segment(marker, block, at + 4, length):
            return ODD
        at = following
    return NEED_MORE


def _plain_quantisation(block: bytes, start: int, stop: int) -> bool:
    """Whether a DQT segment holds whole tables of 8-bit entries, as all but a few encoders write them."""
    table = start
    while table < stop:
        if block[table] >= 16:
            return False
        table += 65
    return table == stop > start


def _plain_application_segment(marker: int, block: bytes, start: int, length: int) -> bool:
    """Whether Pillow skips this APP2, APP13 or APP14 segment."""
    if marker == _APP2:
        # MPF makes the file an MPO, for which training skips the check of the last bytes.
        return not block.startswith(b"MPF\x00", start) and length >= 16
    if marker == _APP14:
        return length >= 12
    return marker == _APP13 and not block.startswith(b"Photoshop 3.0\x00", start) and length >= 2


_TIFF_ORDERS = {
    b"II*\x00": ("<", b"\x12\x01", b"\x03\x00\x01\x00\x00\x00"),
    b"MM\x00*": (">", b"\x01\x12", b"\x00\x03\x00\x00\x00\x01"),
}
_LONGS = {"<": Struct("<L"), ">": Struct(">L")}
_SHORTS = {"<": Struct("<H"), ">": Struct(">H")}


def exif_orientation(tiff: bytes) -> int | str:
    """EXIF orientation 1 to 8, 0 where there is none, from the TIFF structure of an EXIF segment; or ODD.

    Looks for tag 274 among the twelve-byte entries of the first directory (Exif 2.32, 4.6.2).
    """
    order = _TIFF_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 14:
        return ODD
    endian, tag, short_and_one = order
    (directory,) = _LONGS[endian].unpack_from(tiff, 4)
    if directory < 8 or directory + 2 > len(tiff):
        return ODD
    (n_entries,) = _SHORTS[endian].unpack_from(tiff, directory)
    start = directory + 2
    stop = start + 12 * n_entries
    if stop > len(tiff):
        return ODD
    orientation = 0
    at = tiff.find(tag, start, stop)
    while at >= 0:
        if (at - start) % 12 == 0:
            if tiff[at + 2 : at + 8] != short_and_one:
                return ODD
            (value,) = _SHORTS[endian].unpack_from(tiff, at + 8)
            orientation = value if value <= 8 else 0
        at = tiff.find(tag, at + 1, stop)
    return orientation


_PNG_CHUNK = Struct(">L4s")
_PNG_IHDR = Struct(">LLBBBBB")
_CRC = Struct(">L")
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_FACTS = {
    (depth, colour): pack(0, PNG, _PNG_CHANNELS[colour], depth)
    for colour, depths in _PNG_DEPTHS.items()
    for depth in depths
}
_PNG_QUIET_CHUNKS = {
    b"gAMA": 4,
    b"sRGB": 1,
    b"pHYs": 9,
    b"cHRM": 32,
    b"PLTE": 0,
    b"bKGD": 0,
    b"tIME": 0,
    b"sBIT": 0,
}
"""Chunks that Pillow accepts with any content, and the least length of each."""


def png_header(block: bytes) -> Header | str:
    """(width, height, facts) of a PNG from its first bytes; NEED_MORE or ODD.

    Walks the chunks up to the first image data and checks their CRC (ISO/IEC 15948, 5.3), as Pillow does.
    """
    end = len(block)
    at = 8
    width = height = facts = orientation = 0
    while at + 8 <= end:
        length, kind = _PNG_CHUNK.unpack_from(block, at)
        if kind == b"IDAT":
            return (width, height, facts | orientation) if facts else ODD
        data = at + 8
        following = data + length + 4
        if following > end:
            return NEED_MORE
        if crc32(block[at + 4 : data + length]) != _CRC.unpack_from(block, data + length)[0]:
            return ODD
        if not facts:
            if kind != b"IHDR" or length != 13:
                return ODD
            width, height, depth, colour, _, filter_method, _ = _PNG_IHDR.unpack_from(block, data)
            facts = _PNG_FACTS.get((depth, colour), 0)
            if filter_method or not facts or not 0 < width * height <= MAX_QUIET_PIXELS:
                return ODD
        elif kind == b"eXIf":
            found = exif_orientation(block[data : data + length])
            if not isinstance(found, int):
                return ODD
            orientation = found
        elif length < _PNG_QUIET_CHUNKS.get(kind, end):
            return ODD
        at = following
    return NEED_MORE


def png_depth_and_channels(block: bytes) -> tuple[int, int] | None:
    """(bits a channel, channels) from IHDR, None where the block does not show them."""
    if len(block) < 26 or block[12:16] != b"IHDR" or (block[24], block[25]) not in _PNG_FACTS:
        return None
    return block[24], _PNG_CHANNELS[block[25]]


_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), words)
    for pattern, words in (
        (rb"\s*(<!doctype html|<html)", "a web page (HTML)"),
        (rb"\s*<svg|\s*<\?xml[^>]*>\s*<svg", "an SVG drawing"),
        (rb"\s*<\?xml", "an XML file"),
        (rb"%PDF-", "a PDF document"),
        (rb"GIF8[79]a", "GIF, a format that training does not accept"),
        (rb"P[1-7][\s#]", "PNM, a format that training does not accept"),
        (rb"8BPS", "PSD, a format that training does not accept"),
        (rb"\x00\x00[\x01\x02]\x00", "ICO, a format that training does not accept"),
        (rb"icns", "ICNS, a format that training does not accept"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "EPS, a format that training does not accept"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\x1f\x8b", "a gzip archive"),
        (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "a HEIF image (training installs pi-heif to open it)"),
        (rb"....ftyp", "a video or an image in an MP4 container"),
        (rb"RIFF....AVI ", "an AVI video"),
        (rb"\x00+$", "nothing but zero bytes at its start"),
        (rb"[\t\n\r -~]+$", "text"),
    )
)


def describe_foreign(block: bytes) -> str:
    """What a file seems to be that is no image, in words."""
    for pattern, words in _SIGNATURES:
        if pattern.match(block):
            return words
    return f"unknown (first bytes {block[:8].hex(' ')})"
