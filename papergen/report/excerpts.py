"""The beginning of a text for a table or a figure, cut between words; without spaces, between characters."""

from __future__ import annotations

from papergen.core.widths import width_of


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
