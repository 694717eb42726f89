"""Whether a name can be that of a model on the Hugging Face Hub, told without asking it."""

from __future__ import annotations

import re

DECIDES_NUMBERS = False

MOST_CHARACTERS = 96
HUB_ID = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether the Hub's rules allow `name`; one that they do not allow can only be a path.

    Letters, digits, "-", "_" and "." of ASCII, in at most two parts, neither of which begins or ends with "-" or ".".
    """
    parts = name.split("/")
    return (
        HUB_ID.fullmatch(name) is not None
        and len(name) <= MOST_CHARACTERS
        and all(part.strip(".-") == part for part in parts)
        and "--" not in name
        and ".." not in name
    )
