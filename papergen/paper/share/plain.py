r"""Plain LaTeX out of a built tree: numbers in the place of `\result`, no comments, one file where one is wanted.

Every change here leaves the tokens that TeX sees as they were, as far as that can be had from the text alone; who
exports a tree compiles it again and compares the pages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from papergen.latex.macros import LINK_MACROS, LONGROWS, RESULTS_FILE, SIGN_MACROS, package_lines
from papergen.latex.sources import OPAQUE_ENVIRONMENTS, group, masked, spans

Values = Mapping[str, Mapping[str, str]]
r"""Key -> format -> TeX, of every `\result`."""

OUR_INPUT = re.compile(r"\\input\s*\{papergen-results(?:\.tex)?\}")
_OURS = re.compile(r"\\(result|claimed|claim|says|typed)(?![A-Za-z@])")
_DEFINED = re.compile(r"\\(?:[A-Za-z]*command\*?|def|let|[A-Za-z]*DocumentCommand)\s*\{?\s*$")
_NEW_VERBATIM = re.compile(
    r"\\(?:lstnewenvironment|DefineVerbatimEnvironment|newtcblisting|NewTCBListing|DeclareTCBListing|newverbatim)"
    r"\s*(?:\[[^\]]*\])?\s*\{([A-Za-z]+\*?)\}"
)
_NEW_MINTED = re.compile(r"\\newminted(?:\[([A-Za-z]+)\])?\s*\{([A-Za-z]+)\}")
_OTHER_PERCENT = re.compile(
    r"\\catcode\s*`?\\?%\s*=?\s*(?!14)\d|\\catcode\s*37\b|\\@makeother\\%|\\(?:lst)?MakeShort(?:Verb|Inline)"
)
_INPUT = re.compile(r"\\(input|include|subfile)(?![A-Za-z@])\s*(?:\{([^{}]+)\}|(?<=input)\s+([^\s\\{}%]+))")


def with_numbers(text: str, values: Values) -> str:
    r"""The source with each `\result{key}` replaced by what it prints, and each `\claim[...]{text}` by its text.

    `\says{...}` and `\typed{...}` become their arguments, `\claimed{name}` the text of that claim.

    A key that a macro makes (`\result{#1}`) stays.
    """
    plain = masked(text)
    edits: list[tuple[int, int, str]] = []
    for match in _OURS.finditer(plain):
        if _DEFINED.search(plain, max(0, match.start() - 40), match.start()):
            continue
        option = group(plain, match.end(), "[]")
        argument = group(plain, option[2] if option else match.end(), "{}")
        if argument is None:
            continue
        inner, start, end = argument
        if match[1] == "claimed":
            text_of = values.get(f"claim {inner.strip()}", {}).get("text")
            if text_of is not None:
                edits.append(
                    (match.start(), end, _space(plain, match.start(), text_of) + with_numbers(text_of, values))
                )
            continue
        if match[1] != "result":
            space = _space(plain, match.start(), inner)
            edits += [(match.start(), start, space), (end - 1, end, "")]
            continue
        key = re.sub(r"\s+", " ", inner.strip())
        tex = values.get(key, {}).get(option[0].strip() if option else "")
        if tex is not None:
            edits.append((match.start(), end, _space(plain, match.start(), tex) + tex))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _space(text: str, position: int, new: str) -> str:
    r"""A space where a command's name would grow by the letters that follow: `\noindent\claim{A}`."""
    return " " if re.search(r"\\[A-Za-z@]+$", text[:position][-40:]) and re.match(r"[A-Za-z@]", new) else ""


def uses_our_macros(texts: Collection[str]) -> bool:
    r"""Whether a `\result`, `\claim` or `\typed` is left in these sources."""
    return any(_OURS.search(masked(text)) for text in texts)


def without_comments(text: str, *, opaque: Collection[str] = OPAQUE_ENVIRONMENTS) -> str:
    r"""The source without what its author did not mean to print: comments, `\iffalse ... \fi`, `comment` environments.

    A line that holds nothing but a comment goes; of a comment behind text the bare `%` stays, because it eats the end
    of the line. Verbatim text and addresses are left alone.
    """
    out: list[str] = []
    position = 0
    for span in spans(text, opaque):
        start, end, new = span.start, span.end, text[span.start : span.end]
        if span.kind == "comment":
            begin = text.rfind("\n", 0, start) + 1
            if begin >= position and not text[begin:start].strip(" \t"):
                start, end, new = begin, min(end + 1, len(text)), ""
            else:
                new = "%"
        elif span.kind == "body" and span.environment == "comment":
            new = "\n"
        elif span.kind == "false" and not re.search(r"\\else(?![A-Za-z@])", new):
            new = r"\iffalse\fi"
        elif span.kind == "after":
            new = "\n"
        out += [text[position:start], new]
        position = end
    return "".join([*out, text[position:]])


def opaque_environments(texts: Collection[str]) -> set[str]:
    """The environments that take their text as it stands, those that these sources define among them."""
    found = set(OPAQUE_ENVIRONMENTS)
    for text in texts:
        found.update(_NEW_VERBATIM.findall(text))
        found.update(name or f"{language}code" for name, language in _NEW_MINTED.findall(text))
    return found


def redefines_percent(text: str) -> bool:
    """Whether `%` may be something else than the start of a comment in sources that come after this one."""
    return bool(_OTHER_PERCENT.search(masked(text)))


def one_file(texts: Mapping[str, str], main: str) -> str:
    r"""The main source with every `\input` and `\include` of a file among `texts` replaced by that file."""
    return _inlined(texts, main, ())


def _inlined(texts: Mapping[str, str], name: str, above: tuple[str, ...]) -> str:
    text = texts[name]
    plain = masked(text)
    out: list[str] = []
    position = 0
    for command, argument, start, end in _inputs(plain):
        found = _file(texts, argument)
        if found is None or found == RESULTS_FILE or found in (*above, name):
            continue
        body = _inlined(texts, found, (*above, name))
        body = body.split(r"\endinput")[0].rstrip("\n")
        if command == "include":
            body = f"\\clearpage\n{body}\n\\clearpage"
        # A comment in the last line would eat what stands behind the command.
        last = body.rsplit("\n", 1)[-1]
        follows = text[end:].split("\n", 1)[0].strip()
        out += [text[position:start], body, "\n" if follows and "%" in masked_comment(last) else ""]
        position = end
    return "".join([*out, text[position:]])


def masked_comment(line: str) -> str:
    r"""A line with its `\%` taken out, so that a `%` that is left begins a comment."""
    return re.sub(r"\\.", "", line)


def _inputs(plain: str) -> Iterator[tuple[str, str, int, int]]:
    for match in _INPUT.finditer(plain):
        yield match[1], (match[2] or match[3]).strip(), match.start(), match.end()


def _file(texts: Mapping[str, str], argument: str) -> str | None:
    name = argument.removeprefix("./").strip('"')
    return next((full for full in (f"{name}.tex", name) if full in texts), None)


def standing_macros(text: str, results: str) -> str:
    r"""What is left of `papergen-results.tex` (`results`) in the preamble when every `\result` has become a number."""
    lines = package_lines(results)
    packages = "\n".join([r"\makeatletter", *lines, r"\makeatother", ""]) if lines else ""
    signs = SIGN_MACROS if re.search(r"\\papergen(?:minus|pm|power)(?![A-Za-z])", text) else ""
    links = LINK_MACROS if r"\papergenlink" in text else ""
    rows = f"\\makeatletter\n{LONGROWS}\\makeatother\n" if r"\begin{longrows}" in text else ""
    return packages + signs + links + rows
