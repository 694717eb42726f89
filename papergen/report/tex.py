"""The type that says "this text is LaTeX already": escaping is decided by type, never by a flag."""

from __future__ import annotations

from collections.abc import Callable

from pylatex import NoEscape


class Tex(NoEscape):  # type: ignore[misc]
    """A string of LaTeX; everything else that reaches a .tex file is escaped. PyLaTeX objects take it as it is."""

    def __repr__(self) -> str:
        """`Tex('...')`."""
        return f"Tex({str(self)!r})"


Escape = Callable[[str], str]
"""What turns plain text into LaTeX for the engine in use; the caller of a table gives it."""

_SPECIALS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
}


def escape_ascii(text: str) -> str:
    """`text` with TeX's special characters made visible; other characters are left to the engine.

    Enough for names of units and rows; other text goes through the `latex` room's escape, which knows the engine.
    """
    return "".join(_SPECIALS.get(character, character) for character in text)


def as_tex(text: str, escape: Escape) -> str:
    """The LaTeX of a cell or label: `Tex` (any PyLaTeX NoEscape) as it is, other text escaped."""
    return str(text) if isinstance(text, NoEscape) else str(escape(text))
