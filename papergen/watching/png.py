"""A picture as PNG, packed lightly: a page goes to a browser on this machine, and somebody waits for it.

pdftoppm draws a page in 30 ms and packs it for 220 ms more (110 dpi, docs/LOG.md).
"""

from __future__ import annotations

import re
import struct
import zlib

_HEADER = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+255\s")


def png(ppm: bytes) -> bytes:
    """The PNG of a binary PPM with 8 bits per colour, as pdftoppm writes it. ValueError for anything else.

    The format is that of the PNG specification (ISO/IEC 15948): signature, then IHDR, IDAT and IEND, each with its
    length and CRC-32; every row begins with its filter type, here 0.
    """
    header = _HEADER.match(ppm)
    if header is None:
        raise ValueError("not a PPM picture of 8 bits per colour")
    width, height = int(header[1]), int(header[2])
    size = 3 * width
    if len(ppm) != header.end() + size * height:
        raise ValueError(f"a PPM picture of {width} x {height} that is cut off")
    rows = (ppm[start : start + size] for start in range(header.end(), len(ppm), size))
    packed = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
