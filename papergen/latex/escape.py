"""Text that comes from data becomes TeX that prints exactly that text, or visible codes for what cannot be printed."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

from papergen.latex.characters import (
    PDFLATEX_SYMBOLS,
    SPACES,
    T1,
    code_name,
    is_common_chinese,
    is_hidden,
    is_ideograph,
)
from papergen.latex.text import SPECIALS, Tex

Engine = Literal["pdflatex", "xelatex"]
Newlines = Literal["visible", "space", "break"]

LIGATING = {"-", ","}
"""A second one would join the first into a dash or a low quote."""

LINE_END = r"\ensuremath{\hookleftarrow}"
"""How a line end in a sample text is made visible."""


class OwnWords(str):
    """What the author says of the paper in paper.yaml: title, names, keywords.

    A Chinese character that the usual fonts lack is left to TeX, which prints it or stops at it: its code, which is
    enough in a text from data, would be a misprint in a name.
    """

    __slots__ = ()


def escape(text: str, engine: Engine = "pdflatex") -> Tex:
    r"""TeX that prints `text` exactly; what `engine` cannot print becomes its visible code, such as `[U+4F60]`.

    The text is brought to NFC first. Tabs and line ends print as spaces; several spaces in a row stay several.
    Controls, bidi marks, joiners and lone surrogates are shown as codes in every engine. pdflatex needs
    `\usepackage[T1]{fontenc}`.
    """
    out: list[str] = []
    previous = ""
    is_own = isinstance(text, OwnWords) and engine == "xelatex"
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


def _one(char: str, engine: Engine) -> str:
    if char in SPECIALS:
        return SPECIALS[char]
    if " " < char <= "~":
        return char
    if char in SPACES:
        return SPACES[char]
    if not is_hidden(char):
        if engine == "pdflatex":
            if char in T1:
                return char
            if char in PDFLATEX_SYMBOLS:
                return PDFLATEX_SYMBOLS[char]
        elif char in T1 or "\u00a1" <= char <= "\u017f" or is_common_chinese(char):
            return char
        elif char in PDFLATEX_SYMBOLS:
            return PDFLATEX_SYMBOLS[char]
    return visible_code(char)


def visible_code(char: str) -> str:
    r"""`{[}U+4F60{]}`, after which a line may break: what stands for a character that cannot be printed."""
    return f"{{[}}{code_name(char)}{{]}}\\hspace{{0pt}}"


def escape_sample(text: str, engine: Engine = "pdflatex", *, newlines: Newlines = "visible") -> Tex:
    r"""A sample text as one paragraph: line ends as a visible mark, as spaces, or as line breaks (`\newline`)."""
    lines = re.split(r"\r\n?|\n", text)
    joint = {"visible": LINE_END + " ", "space": " ", "break": r"\newline "}[newlines]
    return Tex(joint.join(escape(line, engine) for line in lines))


def escape_url(url: str) -> Tex:
    r"""An address for the first argument of `\href`, also inside other arguments: non-ASCII is percent-encoded."""
    encoded = quote(url, safe="!#$%&'()*+,/:;=?@[]~-._")
    encoded = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", encoded)
    return Tex(re.sub(r"([#$%&_])", r"\\\1", encoded))
