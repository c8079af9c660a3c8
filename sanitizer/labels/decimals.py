"""Reads decimal numbers from a byte buffer, thousands at a time, with exactly the result of float().

Digits are taken eight at a time: the eight bytes that end where a token ends are one little-endian 64-bit word,
and three multiplications turn it into a number (after D. Lemire, "Quickly parsing eight digits", 2018). A
decimal is then digits / 10^n, which is correctly rounded as long as both are exact in float64 (W. Clinger, "How
to read floating point numbers accurately", 1990). Longer digit strings take one division in doubled precision.
float() itself reads all other tokens, such as those with signs and exponents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 24
"""Bytes that must lie before the first token: three words are read backwards from a token's end."""

_DOT = 0x2E
_ZERO = 0x30
_MAX_DIGITS = 19
"""The most digits that always fit into 64 bits."""

_POW10_INT = np.array([10**n for n in range(_MAX_DIGITS + 1)], np.uint64)
_POW10_FLOAT = _POW10_INT.astype(np.float64)  # exact: powers of ten are, up to 10^22
_EXACT_INT = np.uint64(2**53)

# Keeps the last n bytes of a word: in little-endian order these are the high ones.
_LAST_BYTES = np.array([2**64 - 2 ** (64 - 8 * n) for n in range(9)], np.uint64)
_ZEROS = np.uint64(0x3030303030303030)
_SIXES = np.uint64(0x0606060606060606)
_HIGH_NIBBLES = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIR_MASK = np.uint64(0x00FF00FF00FF00FF)
_QUAD_MASK = np.uint64(0x0000FFFF0000FFFF)
_PAIRS = np.uint64(1 + (10 << 8))
_QUADS = np.uint64(1 + (100 << 16))
_OCTET = np.uint64(1 + (10_000 << 32))

# 1 for every byte that no ASCII text holds which float() accepts: neither of a number, nor of infinity or nan.
_HOPELESS = bytes(byte not in b"0123456789.+-eE_infatyINFATY" for byte in range(256))


def parse_decimals(
    block: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the tokens block[starts[i]:ends[i]], which are printable ASCII without blanks.

    Returns:
        float64 (T,) the numbers, NaN where float() refuses; int64 (K,) tokens that float() refuses; int64 (K,)
        tokens that it accepts although they hold an underscore. Token numbers ascend.
    """
    buf = np.frombuffer(block, np.uint8)
    has_dot = buf[starts + 1] == _DOT  # d.ddd…, else the token is taken for digits alone
    n_digits = ends - starts - 2 * has_dot
    digits, unfit = _digit_runs(block, ends, n_digits)
    unfit |= n_digits > _MAX_DIGITS

    leading = np.where(has_dot, buf[starts] ^ np.uint8(_ZERO), np.uint8(0))
    unfit |= leading > np.where(n_digits == _MAX_DIGITS, 0, 9)
    digits += leading * _POW10_INT.take(n_digits, mode="clip")
    scale = n_digits * has_dot
    numbers: NDArray[np.float64] = digits.astype(np.float64)
    numbers /= _POW10_FLOAT.take(scale, mode="clip")

    long = np.flatnonzero((digits >= _EXACT_INT) & ~unfit & has_dot)
    if len(long):
        numbers[long], sure = _divide_long(digits[long], _POW10_FLOAT[scale[long]])
        unfit[long] = ~sure
    refused, unusual = _read_one_by_one(block, starts, ends, np.flatnonzero(unfit), numbers)
    return numbers, refused, unusual


def _digit_runs(
    block: bytes, ends: NDArray[np.int64], n_digits: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """uint64 (T,) value of the last n_digits bytes before each end, and bool (T,) where they are not all digits."""
    # One word at every byte: word i overlaps word i + 1 in seven bytes. take() would copy them all first.
    words: NDArray[np.uint64] = np.ndarray((len(block) - 7,), "<u8", buffer=block, strides=(1,))
    value, unfit = _eight_digits(words[ends - 8], n_digits)
    for skipped in (8, 16):
        more = np.flatnonzero(n_digits > skipped)
        if not len(more):
            break
        part, bad = _eight_digits(words[ends[more] - skipped - 8], n_digits[more] - skipped)
        value[more] += part * _POW10_INT[skipped]
        unfit[more] |= bad
    return value, unfit


def _eight_digits(
    word: NDArray[np.uint64], n_digits: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The number in the last n_digits bytes of each word (at most all eight), and where they are not all digits.

    Overwrites `word`.
    """
    word ^= _ZEROS
    word &= _LAST_BYTES.take(n_digits, mode="clip")
    # A byte is now 0 to 9 if it was a digit; six more carries anything above 9 into the high nibble. No byte
    # of ASCII text can carry into its neighbour.
    not_digits = (((word + _SIXES) | word) & _HIGH_NIBBLES) != 0
    word *= _PAIRS
    word >>= np.uint64(8)
    word &= _PAIR_MASK
    word *= _QUADS
    word >>= np.uint64(16)
    word &= _QUAD_MASK
    word *= _OCTET
    word >>= np.uint64(32)
    return word, not_digits


def _divide_long(
    dividend: NDArray[np.uint64], divisor: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """float64 (K,) dividend / divisor for dividends beyond 2^53, and bool (K,) where it is certainly rounded right.

    One step of long division: the quotient of the high part, then the quotient of what it leaves, which is
    exact by T. Dekker's product ("A floating-point technique for extending the available precision", 1971).
    """
    high = dividend.astype(np.float64)
    low = (dividend - high.astype(np.uint64)).view(np.int64).astype(np.float64)
    quotient = high / divisor
    product, error = _exact_product(quotient, divisor)
    correction = (((high - product) - error) + low) / divisor
    rounded = quotient + correction
    # How far the sum was rounded, against the distances at which it would round the other way: half the gap to
    # the next number, and a quarter where the number is a power of two. Too close to these is not sure.
    moved = np.abs(correction - (rounded - quotient))
    ulp = np.spacing(rounded)
    sure = (np.abs(moved / ulp - 0.5) > 1e-6) & (np.abs(moved / ulp - 0.25) > 1e-6)
    return rounded, sure


def _exact_product(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(p, e) with p + e = a × b exactly, p the rounded product."""
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    product = a * b
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two numbers of 26 bits each that sum to a (Veltkamp's splitting)."""
    shifted = a * 134217729.0  # 2^27 + 1
    high = shifted - (shifted - a)
    return high, a - high


def _read_one_by_one(
    block: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    which: NDArray[np.intp],
    numbers: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Let float() read these tokens into `numbers`; returns those it refuses and those with an underscore."""
    if not len(which):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # Most of what is no number shows it by a letter or a comma, and a raised exception costs as much as several
    # numbers.
    hopeless = np.flatnonzero(np.frombuffer(block.translate(_HOPELESS), np.bool_))
    is_hopeless = np.searchsorted(hopeless, ends[which]) > np.searchsorted(hopeless, starts[which])
    numbers[which] = np.nan
    refused = which[is_hopeless].tolist()
    unusual: list[int] = []
    which = which[~is_hopeless]
    for i, start, end in zip(which.tolist(), starts[which].tolist(), ends[which].tolist(), strict=True):
        token = block[start:end]
        try:
            numbers[i] = float(token)
        except ValueError:
            refused.append(i)
            continue
        if b"_" in token:
            unusual.append(i)
    return np.sort(np.array(refused, np.int64)), np.array(unusual, np.int64)
