"""How wide a text is on a terminal, where a Chinese character takes two columns, and texts padded or cut to a width."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """Columns that `text` takes: two for a wide or full-width character, none for a combining one."""
    return sum(_width(char) for char in text) if not text.isascii() else len(text)


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def ljust(text: str, width: int) -> str:
    """`text` and spaces behind it, together `width` columns, or `text` alone where it is wider."""
    return text + " " * (width - width_of(text))


def rjust(text: str, width: int) -> str:
    """Spaces and `text` behind them, together `width` columns, or `text` alone where it is wider."""
    return " " * (width - width_of(text)) + text


def excerpt(text: str, most: int) -> str:
    """`text` with white space made single; beyond `most` columns (a Chinese character is two) it ends in ` ...`.

    What stands before the cut ends at a space where one is near; Chinese text has none and is cut anywhere.
    """
    words = " ".join(text.split())
    width = 0
    for end, char in enumerate(words):
        width += width_of(char)
        if width > most:
            whole, space, _ = words[:end].rpartition(" ")
            return f"{whole if space and width_of(char) < 2 else words[:end].rstrip()} ..."
    return words
