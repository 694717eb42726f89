r"""What TeX's messages usually mean: a table of patterns with the cause and the remedy in the author's words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from papergen.errors import nearest

COMMON_COMMANDS = [
    "alpha",
    "author",
    "autoref",
    "begin",
    "beta",
    "bibliography",
    "bibliographystyle",
    "bottomrule",
    "caption",
    "centering",
    "cite",
    "citep",
    "citet",
    "claim",
    "date",
    "documentclass",
    "emph",
    "end",
    "enquote",
    "footnote",
    "frac",
    "href",
    "hspace",
    "hline",
    "include",
    "includegraphics",
    "infty",
    "input",
    "item",
    "label",
    "ldots",
    "left",
    "linewidth",
    "maketitle",
    "mathbb",
    "mathbf",
    "mathcal",
    "mathrm",
    "midrule",
    "multicolumn",
    "newcommand",
    "newline",
    "nocite",
    "noindent",
    "pageref",
    "paragraph",
    "ref",
    "result",
    "right",
    "section",
    "sqrt",
    "subsection",
    "subsubsection",
    "sum",
    "tableofcontents",
    "text",
    "textbf",
    "textit",
    "textsc",
    "textsf",
    "texttt",
    "textwidth",
    "thanks",
    "title",
    "today",
    "toprule",
    "underline",
    "url",
    "usepackage",
    "vspace",
    "appendix",
    "cdot",
    "times",
    "leq",
    "geq",
    "approx",
    "small",
    "footnotesize",
]


@dataclass(frozen=True)
class Explanation:
    """The usual cause and the remedy of a message."""

    cause: str
    remedy: str


_TABLE: tuple[tuple[str, str, str], ...] = (
    (
        r"Missing \$ inserted",
        "a _ or ^ stands in text, or a formula was not closed.",
        r"Write \_ for an underscore, or put $...$ around the formula.",
    ),
    (r"Misplaced alignment tab character", "an & stands outside a table.", r"Write \& for the sign."),
    (
        r"Extra alignment tab",
        "this row has more cells than the table has columns.",
        r"Count the & of the row, or add a column to \begin{tabular}{...}.",
    ),
    (r"Too many \}'s|Extra \}", "a } closes nothing.", "Remove it, or add the { that it should close."),
    (
        r"Illegal parameter number|You can't use `macro parameter character",
        "a # stands in text.",
        r"Write \# for the sign.",
    ),
    (
        r"(?:File|Paragraph) ended (?:while scanning|before)|Runaway|Forbidden control sequence found",
        "a { is never closed, or a % hides its }.",
        r"Close the brace here; write \% for a per cent sign.",
    ),
    (
        r"\\begin\{.*\} .*ended by",
        "the environment is not closed, or closed in the wrong order.",
        "Add its \\end{...} before the one that TeX met.",
    ),
    (
        r"Environment .* undefined",
        "a misspelt environment, or its package is not loaded.",
        "Check the spelling, or load the package in the preamble.",
    ),
    (
        r"File `.*\.(?:sty|cls)' not found",
        "the package or class is not installed, or its name is misspelt.",
        "Check the name, or install the package (papergen doctor tells how).",
    ),
    (
        r"File `.*' not found",
        "the file does not exist in the paper's folder, or its name is misspelt.",
        "Names are relative to main.tex; capital letters count.",
    ),
    (
        r"Unicode character",
        "pdflatex has no glyph for this character.",
        "Take it out, write it as a LaTeX command, or set engine: xelatex in paper.yaml.",
    ),
    (r"Missing character", "the font has no glyph for this character.", "Take it out, or choose a font that has it."),
    (r"Double (?:super|sub)script", "two ^ or two _ follow each other.", "Group them with braces: a^{b^c}."),
    (r"\\caption outside float", "\\caption works in figure and table only.", "Put it inside the environment."),
    (r"Lonely \\item", "\\item stands outside a list.", "Put \\begin{itemize} before it."),
    (r"Something's wrong--perhaps a missing \\item", "a list without \\item.", "Begin each entry with \\item."),
    (
        r"no legal \\end found",
        "\\end{document} is missing, or hidden by an unclosed brace or conditional.",
        "Add \\end{document} as the last line of the main file.",
    ),
    (
        r"Font .* at \d+ not found",
        "the font exists as a bitmap (Type 3) only, which venues refuse.",
        "Load a Type 1 family, such as \\usepackage{mathptmx}, or install cm-super (apt-get install cm-super).",
    ),
    (
        r"Not (?:reading from|writing to)|openin_any|openout_any",
        "the document names a file outside the paper's folder.",
        "Copy the file into the paper's folder and use a relative name.",
    ),
    (
        r"TeX capacity exceeded",
        "a macro calls itself without end, or the input is far too large.",
        "Look at the definition of the macro on this line.",
    ),
    (
        r"There's no line here to end",
        "a \\\\ or \\newline after an empty line.",
        "Remove it; an empty line already ends the paragraph.",
    ),
    (
        r"Unknown option|Option clash",
        "the package does not know this option, or was loaded before with others.",
        "Check the options given to \\usepackage.",
    ),
    (
        r"Command .* already defined",
        "the command exists in LaTeX or in a package.",
        "Choose another name, or use \\renewcommand.",
    ),
    (
        r"Bad math environment delimiter|Missing (?:right|\\right|delimiter|\\left)",
        "\\left and \\right, or \\( and \\), do not match.",
        "Pair them.",
    ),
    (
        r"Missing number|Illegal unit",
        "a length or a number is missing.",
        "Write it with its unit, as in 3pt or 0.5\\linewidth.",
    ),
    (
        r"Missing \}? ?inserted|Missing \{ inserted|Missing endgroup",
        "a brace or an environment closes in the wrong order.",
        "Check the braces of this line and the lines above it.",
    ),
    (
        r"No pages of output",
        "the document has no text between \\begin{document} and \\end{document}.",
        "Input a section there.",
    ),
)


def explain(message: str) -> Explanation:
    """The usual cause and remedy of a TeX message; empty texts when the table does not know it."""
    for pattern, cause, remedy in _TABLE:
        if re.search(pattern, message):
            return Explanation(f"Usual cause: {cause}", remedy)
    return Explanation("", "")


def explain_undefined(command: str, defined: set[str]) -> Explanation:
    """For an undefined control sequence: the nearest command among LaTeX's common ones and the author's own."""
    close = nearest(command.lstrip("\\"), {*COMMON_COMMANDS, *defined})
    remedy = f"Did you mean \\{close[0]}? Otherwise load the package that defines it." if close else ""
    return Explanation("Usual cause: a misspelt command, or its package is not loaded.", remedy)
