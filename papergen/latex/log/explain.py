r"""What TeX's messages usually mean: a table of patterns with the cause and the remedy in the author's words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from papergen.core.errors import nearest

_COMMON = """
alpha appendix approx author autoref begin beta bibliography bibliographystyle bottomrule caption cdot centering
cite citep citet claim date documentclass emph end enquote footnote footnotesize frac geq hline href hspace
include includegraphics infty input item label ldots left leq linewidth maketitle mathbb mathbf mathcal mathrm
midrule multicolumn newcommand newline nocite noindent pageref paragraph ref result right section small sqrt
subsection subsubsection sum tableofcontents text textbf textit textsc textsf texttt textwidth thanks times
title today toprule underline url usepackage vspace
"""
COMMON_COMMANDS = frozenset(_COMMON.split())
"""Commands that everybody uses: an undefined one is most likely one of them misspelt."""


@dataclass(frozen=True)
class Explanation:
    """The usual cause and the remedy of a message."""

    cause: str
    remedy: str


TABLE: tuple[tuple[str, str, str], ...] = (
    (
        r"Missing \$ inserted",
        "a _, a ^ or a command of formulas stands in text, or a formula was not closed or has an empty line in it.",
        r"Write \_ for an underscore, or put $...$ around the formula; take empty lines out of displays.",
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
        r"Argument of .* has an extra \}|Missing \\endcsname inserted",
        "what does not survive in a caption or title (\\verb, \\footnote, a \\caption) stands in this one.",
        "Take it out, or put \\protect before it; for \\verb write \\texttt{...}; give a footnote behind the float.",
    ),
    (
        r"You can't use `\\eqno'|Display math should end with \$\$",
        "an empty line or a single $ stands inside a displayed formula.",
        "Take it out: a display needs no $ of its own and knows no paragraphs (\\text{...} for words, & in align).",
    ),
    (
        r"Output loop",
        "something does not fit on any page: a float that is too tall, or too many of them.",
        "Make the figure or table smaller, or write \\clearpage where floats pile up.",
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
        r"text input levels",
        "a file inputs itself, or two input each other.",
        "Take one of the \\input lines out.",
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
        r"Option clash",
        "the package is loaded twice, with different options.",
        "Load it once, with all of them.",
    ),
    (
        r"Unknown option",
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
        r"Can be used only in preamble",
        "this belongs before \\begin{document}.",
        "Move it there; a second \\begin{document} has to go.",
    ),
    (
        r"Command .* undefined",
        "\\renewcommand changes a command that exists, and this one does not.",
        "Use \\newcommand, or correct the name.",
    ),
    (
        r"Undefined color",
        "no colour of this name is defined.",
        "Define it with \\definecolor, or load xcolor with the option that brings it.",
    ),
    (
        r"Illegal (?:character|pream-token) in array arg|Illegal pream-token",
        "the column types of the table hold a letter that means nothing.",
        "Use l, c, r, p{width}, or load the package that brings the type.",
    ),
    (
        r"Misplaced \\noalign",
        "a rule (\\hline, \\midrule) stands in the middle of a row.",
        "End the row before it with \\\\.",
    ),
    (
        r"Misplaced \\omit|Misplaced \\cr",
        "\\multicolumn is not the first thing of its cell, or stands outside a table.",
        "Put the & before it.",
    ),
    (
        r"Not in outer par mode|Float\(s\) lost",
        "a figure or table stands inside another one, a footnote or a box.",
        "Move it out, between two paragraphs.",
    ),
    (
        r"Too many unprocessed floats",
        "more figures and tables wait for a place than LaTeX can hold.",
        "Allow them more places ([tbp] instead of [h]), or write \\clearpage where they pile up.",
    ),
    (
        r"Unknown graphics extension",
        "the engine reads PDF, PNG and JPEG figures only.",
        "Convert the figure to PDF.",
    ),
    (
        r"reading (?:PDF )?image (?:file )?failed|libpng|PDF inclusion|unable to load|cannot find image",
        "the figure's file is damaged or of another format than its name says.",
        "Make the figure again.",
    ),
    (
        r"Missing \\begin\{document\}",
        "text stands before \\begin{document}, or an unknown option printed some.",
        "Move it behind \\begin{document}.",
    ),
    (r"No counter", "no counter of this name exists.", "Correct the name, or define it with \\newcounter."),
    (r"No \\title given", "\\maketitle needs a title.", "Write \\title{...} before it."),
    (r"Extra \\(?:fi|else|or)", "a \\fi or \\else without its \\if.", "Take it out, or add the \\if."),
    (r"Dimension too large", "a length is larger than TeX can count (5.75 metres).", "Check the number and its unit."),
    (r"unknown option", "the command or package does not know this option.", "Check its spelling."),
    (
        r"No pages of output",
        "the document has no text between \\begin{document} and \\end{document}.",
        "Input a section there.",
    ),
)


_BROUGHT_BY = {
    "booktabs": "toprule midrule bottomrule cmidrule addlinespace",
    "natbib": "citet citep citealp citeauthor citeyear",
    "graphicx": "includegraphics resizebox scalebox rotatebox graphicspath",
    "xcolor": "textcolor color definecolor colorbox",
    "hyperref": "href url autoref hypersetup",
    "amsmath": "text dfrac tfrac eqref DeclareMathOperator operatorname align align* gather gather* cases "
    "equation* split multline pmatrix bmatrix aligned",
    "amssymb": "mathbb mathfrak lesssim gtrsim",
    "multirow": "multirow",
    "cleveref": "cref Cref crefrange",
    "siunitx": "SI si num qty unit sisetup",
    "subcaption": "subcaption subfigure subtable",
    "caption": "captionsetup captionof",
    "tabularx": "tabularx",
    "longtable": "longtable",
    "listings": "lstset lstinline lstlisting lstinputlisting",
    "algorithm": "algorithm",
    "algpseudocode": "algorithmic State Procedure EndProcedure",
    "wrapfig": "wrapfigure",
    "tikz": "tikz usetikzlibrary tikzpicture",
    "amsthm": "newtheorem* proof qedhere",
    "placeins": "FloatBarrier",
}
ENVIRONMENTS = (
    *("abstract", "array", "center", "description", "displaymath", "document", "enumerate", "equation", "eqnarray"),
    *("figure", "figure*", "flushleft", "flushright", "itemize", "list", "longrows", "math", "minipage", "quotation"),
    *("quote", "table", "table*", "tabular", "tabular*", "thebibliography", "titlepage", "verbatim", "verse"),
)
BROUGHT_BY = {name: package for package, names in _BROUGHT_BY.items() for name in names.split()}
"""Command or environment -> the package that brings it."""


def explain(message: str) -> Explanation:
    """The usual cause and remedy of a TeX message; empty texts when the table does not know it."""
    if match := re.match(r"Environment (\S+) undefined", message):
        if package := BROUGHT_BY.get(match[1]):
            return Explanation(
                f"Usual cause: its package {package} is not loaded.", f"Write \\usepackage{{{package}}}."
            )
        if close := nearest(match[1], {*ENVIRONMENTS, *BROUGHT_BY}):
            return Explanation("Usual cause: a misspelt environment.", f"Did you mean {close[0]}?")
    for pattern, cause, remedy in TABLE:
        if re.search(pattern, message):
            return Explanation(f"Usual cause: {cause}", remedy)
    return Explanation("", "")


def explain_undefined(command: str, defined: set[str]) -> Explanation:
    """For an undefined control sequence: the nearest command among LaTeX's common ones and the author's own."""
    name = command.lstrip("\\")
    if package := BROUGHT_BY.get(name):
        return Explanation(f"Usual cause: its package {package} is not loaded.", f"Write \\usepackage{{{package}}}.")
    close = nearest(name, {*COMMON_COMMANDS, *defined} - {name})
    remedy = f"Did you mean \\{close[0]}? Otherwise load the package that defines it." if close else ""
    return Explanation("Usual cause: a misspelt command, or its package is not loaded.", remedy)
