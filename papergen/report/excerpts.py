"""The beginning of a text for a table or a figure, cut between words; without spaces, between characters."""

from __future__ import annotations

import unicodedata


def excerpt(text: str, most: int) -> str:
    """`text` with white space made single; beyond `most` columns (a Chinese character is two) it ends in ` ...`.

    What stands before the cut ends at a space where one is near; Chinese text has none and is cut anywhere.
    """
    words = " ".join(text.split())
    width = 0
    for end, char in enumerate(words):
        is_wide = unicodedata.east_asian_width(char) in "WF"
        width += 1 + is_wide
        if width > most:
            whole, space, _ = words[:end].rpartition(" ")
            return f"{whole if space and not is_wide else words[:end].rstrip()} ..."
    return words
