"""The type that says "this text is LaTeX already": escaping is decided by type, never by a flag."""

from __future__ import annotations

from collections.abc import Callable

from pylatex.utils import NoEscape


class Tex(NoEscape):  # type: ignore[misc]
    """A string that already is LaTeX: printed as it stands, by Jinja, in tables and inside PyLaTeX objects.

    `Tex + Tex` and `Tex.join` stay Tex; `Tex + str` is a plain string again, and is escaped when printed.
    """

    def __add__(self, other: str) -> str:
        joined = str.__add__(self, other)
        return Tex(joined) if isinstance(other, NoEscape) else joined

    def __html__(self) -> str:
        """What Jinja takes as the sign that nothing is left to escape."""
        return self

    def __repr__(self) -> str:
        """`Tex('...')`."""
        return f"Tex({str(self)!r})"


Escape = Callable[[str], str]
"""What turns plain text into LaTeX for the engine in use; the caller of a table gives it."""

SPECIALS = {
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
    "[": "{[}",
    "]": "{]}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
"""The ten specials, and the ASCII signs that TeX would print as something else or read as an optional argument."""


def escape_ascii(text: str) -> str:
    """`text` with TeX's special characters made visible; other characters are left to the engine.

    Enough for names of units and rows; other text goes through the `latex` room's escape, which knows the engine.
    """
    return "".join(SPECIALS.get(character, character) for character in text)


def as_tex(text: str, escape: Escape) -> str:
    """The LaTeX of a cell or label: `Tex` (any PyLaTeX NoEscape) as it is, other text escaped."""
    return str(text) if isinstance(text, NoEscape) else str(escape(text))
