"""Text and TeX: the type of what is LaTeX already, and the one way in which any other text becomes LaTeX.

Whether a text is escaped is decided by its type, never by a flag. Text that comes from data becomes TeX that prints
exactly that text, or visible codes for what cannot be printed. Which characters those are says `characters`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

from pylatex import Command
from pylatex.base_classes import LatexObject
from pylatex.utils import NoEscape

from papergen.core.errors import PapergenError
from papergen.core.numbers import MINUS, PLUS_MINUS, THIN, TIMES
from papergen.latex.characters import (
    PDFLATEX_SYMBOLS,
    SPACES,
    T1,
    code_name,
    is_common_chinese,
    is_hidden,
    is_ideograph,
)

Engine = Literal["pdflatex", "xelatex"]
Newlines = Literal["visible", "space", "break"]


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


class AuthorText(str):
    """What the author says of the paper in paper.yaml: title, names, keywords.

    A Chinese character that the usual fonts lack is left to TeX, which prints it or stops at it: its code, which is
    enough in a text from data, would be a misprint in a name.
    """

    __slots__ = ()


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


LIGATING = {"-", ","}
"""A second one would join the first into a dash or a low quote."""

LINE_END = r"\ensuremath{\hookleftarrow}"
"""How a line end in a sample text is made visible."""


def escape(text: str, engine: Engine | None = None) -> Tex:
    r"""TeX that prints `text` exactly; what `engine` cannot print becomes its visible code, such as `[U+4F60]`.

    The text is brought to NFC first. Tabs and line ends print as spaces; several spaces in a row stay several.
    Controls, bidi marks, joiners and lone surrogates are shown as codes in every engine. pdflatex needs
    `\usepackage[T1]{fontenc}`. Where the engine is not known (None), characters that only some engines print stay as
    they are.
    """
    out: list[str] = []
    previous = ""
    is_own = isinstance(text, AuthorText) and engine == "xelatex"
    for char in unicodedata.normalize("NFC", re.sub(r"\r\n?|[\n\t]", " ", text)):
        if char == " ":
            out.append(r"\ " if previous in {" ", ""} else " ")
        elif char in LIGATING and char == previous:
            out.append("{}" + char)
        else:
            out.append(char if is_own and is_ideograph(char) else _one(char, engine))
        previous = char
    if previous == " " and out[-1] == " ":
        out[-1] = r"\ "
    return Tex("".join(out))


def _one(char: str, engine: Engine | None) -> str:
    if char in SPECIALS:
        return SPECIALS[char]
    if " " < char <= "~":
        return char
    if char in SPACES:
        return SPACES[char]
    if is_hidden(char):
        return visible_code(char)
    if char in T1 or (engine != "pdflatex" and ("\u00a1" <= char <= "\u017f" or is_common_chinese(char))):
        return char
    if char in PDFLATEX_SYMBOLS:
        return PDFLATEX_SYMBOLS[char]
    return char if engine is None else visible_code(char)


def as_tex(text: str, escape: Escape) -> Tex:
    """The LaTeX of a cell or label: `Tex` (any PyLaTeX NoEscape) as it is, other text escaped."""
    return Tex(text if isinstance(text, NoEscape) else escape(text))


def number_tex(written: str, *, minus: str = r"\papergenminus{}", plus_minus: str = r"\papergenpm{}") -> Tex:
    """A number that `core.numbers` wrote, as TeX; the signs are those that `macros` defines unless given."""
    written = re.sub(rf"{TIMES}10\^({MINUS}?\d+)", lambda m: rf"\papergenpower{{{m[1].replace(MINUS, '-')}}}", written)
    written = written.replace(f" {PLUS_MINUS} ", plus_minus).replace(MINUS, minus).replace(THIN, r"\,")
    return Tex(written.replace("[", "{[}").replace("]", "{]}"))


def command(name: str, *arguments: str) -> Tex:
    r"""`\name{...}{...}` of arguments that are LaTeX already."""
    return Tex(Command(name, [Tex(argument) for argument in arguments]).dumps())


def to_tex(value: Any, engine: Engine) -> str:
    r"""Any value as TeX, such as that of `\VAR{value}`; PapergenError for None and for a number nobody has formatted.

    Tex passes, PyLaTeX objects print themselves, strings are escaped, integers are printed.
    """
    if hasattr(value, "__html__"):
        return Tex(value.__html__())
    if isinstance(value, LatexObject):
        return printable(value.dumps(), engine)
    if isinstance(value, NoEscape):
        return Tex(value)
    if isinstance(value, str):
        return escape(value, engine)
    if isinstance(value, bool):
        raise PapergenError(
            f"the value is {value}: a yes or no has no printed form.", hint='Write "yes" if x else "no".'
        )
    if isinstance(value, int):
        return Tex(f"{value}" if value >= 0 else rf"\ensuremath{{{value}}}")
    if value is None:
        raise PapergenError("the value is None (nothing).", hint='Write |default("...", true) or give it a value.')
    if isinstance(value, float):
        raise PapergenError(
            f"the value {value!r} is a number that nobody has formatted.",
            hint="Write |fixed(2), |percent or |thousands after it, or \\result{...} for a result of an experiment.",
        )
    raise PapergenError(
        f"a value of type {type(value).__name__} cannot be printed.",
        hint="Print its parts, or join a list with |tex_list.",
    )


def printable(tex: str, engine: Engine) -> Tex:
    """TeX in which what `engine` cannot print is its command or its visible code; what is ASCII stays.

    PyLaTeX escapes TeX's special characters and knows nothing of engines.
    """
    return Tex("".join(char if char.isascii() else _one(char, engine) for char in tex))


def packages_of(value: Any) -> dict[str, None]:
    r"""The packages that a PyLaTeX object needs, as lines for the preamble that load what is not loaded yet."""
    if not isinstance(value, LatexObject):
        return {}
    value.dumps_packages()  # a container learns those of what it holds when it is asked to print them
    return dict.fromkeys(
        f"\\@ifpackageloaded{package.arguments.dumps()}{{}}{{{package.dumps()}}}" for package in value.packages
    )


def visible_code(char: str) -> str:
    r"""`{[}U+4F60{]}`, after which a line may break: what stands for a character that cannot be printed."""
    return f"{{[}}{code_name(char)}{{]}}\\hspace{{0pt}}"


def escape_sample(text: str, engine: Engine | None = None, *, newlines: Newlines = "visible") -> Tex:
    r"""A sample text as one paragraph: line ends as a visible mark, as spaces, or as line breaks (`\newline`)."""
    lines = re.split(r"\r\n?|\n", text)
    joint = {"visible": LINE_END + " ", "space": " ", "break": r"\newline "}[newlines]
    return Tex(joint.join(escape(line, engine) for line in lines))


def escape_url(url: str) -> Tex:
    r"""An address for the first argument of `\href`, also inside other arguments: non-ASCII is percent-encoded."""
    encoded = quote(url, safe="!#$%&'()*+,/:;=?@[]~-._")
    encoded = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", encoded)
    return Tex(re.sub(r"([#$%&_])", r"\\\1", encoded))
