"""The perceptual hash: what makes pictures alike, bit for bit as imagehash has it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sanitizer.images.decode import perceptual_hash


def _pictures(n: int) -> list[Image.Image]:
    """Gray pictures of random sizes: noise at a few scales, as photographs have it."""
    random = np.random.default_rng(5)
    pictures = []
    for _ in range(n):
        width, height = random.integers(8, 120, 2).tolist()
        coarse = Image.fromarray(random.integers(0, 256, random.integers(2, 9, 2), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        pixels = smooth + random.integers(-20, 21, smooth.shape)
        pictures.append(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    return pictures


def test_the_hash_is_that_of_imagehash() -> None:
    imagehash = pytest.importorskip("imagehash", reason="needs imagehash (the test extra)")
    for picture in _pictures(1000):
        bits = imagehash.phash(picture).hash.ravel()
        assert perceptual_hash(picture) == int.from_bytes(np.packbits(bits).tobytes(), "big")


def test_a_smaller_copy_has_nearly_the_same_hash_and_another_picture_has_not() -> None:
    pictures = [picture.resize((96, 96)) for picture in _pictures(40)]
    hashes = [perceptual_hash(picture) for picture in pictures]
    copies = [perceptual_hash(picture.resize((64, 64), Image.Resampling.LANCZOS)) for picture in pictures]
    assert max((a ^ b).bit_count() for a, b in zip(hashes, copies, strict=True)) <= 8
    others = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert np.median(others) > 16
