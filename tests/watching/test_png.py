"""What goes to the browser is the picture that was drawn."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from papergen.watching.png import png


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (200, 130)])
def test_the_same_picture(width: int, height: int) -> None:
    pixels = random.Random(0).randbytes(3 * width * height)
    found = Image.open(io.BytesIO(png(b"P6\n%d %d\n255\n" % (width, height) + pixels)))
    found.verify()
    found = Image.open(io.BytesIO(png(b"P6\n%d %d\n255\n" % (width, height) + pixels)))
    assert (found.format, found.mode, found.size) == ("PNG", "RGB", (width, height))
    assert found.tobytes() == pixels


@pytest.mark.parametrize("ppm", [b"", b"P5\n1 1\n255\nx", b"P6\n1 1\n65535\nxxxxxx", b"P6\n2 2\n255\nxxx"])
def test_anything_else_is_refused(ppm: bytes) -> None:
    with pytest.raises(ValueError, match="PPM"):
        png(ppm)
