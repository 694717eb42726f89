r"""Jinja for LaTeX: delimiters that survive TeX, escaping decided by type, and nothing undefined or unformatted
printed.

Build time (`*.tex.j2` of a project): `\VAR{...}`, `\BLOCK{...}`, `\#{...}` (a comment). Scaffold time (templates/):
`<< >>`, `<% %>`, `<# #>`, so that a scaffolded file can itself hold build-time tags. Data is never template source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jinja2
from jinja2 import nodes, pass_eval_context, runtime
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.filters import make_attrgetter
from pylatex.utils import NoEscape

from papergen.core.errors import PapergenError
from papergen.core.numbers import grouped, rounded
from papergen.latex.text import Engine, Newlines, Tex, escape_sample, escape_url, number_tex, to_tex

HTML_FILTERS = ("urlize", "xmlattr", "tojson", "striptags", "forceescape", "wordwrap", "pprint", "filesizeformat")
"""Jinja's filters that write HTML or Python."""


class TexMacro(runtime.Macro):
    """A Jinja macro whose result is TeX already."""

    def _invoke(self, arguments: list[Any], autoescape: bool) -> str:
        return Tex(super()._invoke(arguments, False))


class TexCodeGenerator(CodeGenerator):
    """Jinja's code generator, with the `~` operator left to the environment."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 (Jinja's visitor name)
        """Write `environment.concatenate((a, b, ...))`."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class TexEnvironment(jinja2.Environment):
    """A Jinja environment that prints TeX for one engine."""

    code_generator_class = TexCodeGenerator
    tex_engine: Engine = "pdflatex"

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """The source, unless Jinja would silently drop a part of it: the sign of a number, or a `#` that is printed."""
        start, comment = self.variable_start_string, self.comment_start_string + self.comment_end_string
        for number, line in enumerate(source.split("\n"), 1):
            if re.search(re.escape(start) + r"[-+](?=[\w(.])", line):
                message = f"{start}- strips the spaces before it and is no minus sign. Put a space between."
                raise jinja2.TemplateSyntaxError(message, number, name, filename)
            if comment in line:
                message = f"{comment} would vanish: it is an empty comment. Write {{\\#}} for the sign."
                raise jinja2.TemplateSyntaxError(message, number, name, filename)
        return super().preprocess(source, name, filename)

    def concatenate(self, parts: tuple[Any, ...]) -> str:
        """`a ~ b`: a plain string of plain strings; as soon as one part is TeX, the others are escaped beside it."""
        if any(isinstance(part, NoEscape) or hasattr(part, "__html__") or hasattr(part, "dumps") for part in parts):
            return Tex("".join(printed(part, self.tex_engine) for part in parts))
        return "".join(map(str, parts))

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        """Jinja's code with our types for its HTML ones; imported on the first line, which keeps line numbers right."""
        code: str = super()._generate(source, name, filename, defer_init)
        ours = "import Tex as Markup, TexMacro as Macro"
        first, rest = code.split("\n", 1)
        assert first.startswith("from jinja2.runtime import "), "jinja2 writes its imports on the first line"
        return f"{first}; from papergen.latex.jinja {ours}\n{rest}"


def printed(value: Any, engine: Engine) -> str:
    r"""What `\VAR{value}` prints. `str` of an undefined value raises Jinja's own error, which names it."""
    return str(value) if isinstance(value, jinja2.Undefined) else to_tex(value, engine)


@pass_eval_context
def _finalize(context: nodes.EvalContext, value: Any) -> str:
    return printed(value, cast("TexEnvironment", context.environment).tex_engine)


def _finite(value: Any, filter_name: str) -> float:
    if isinstance(value, jinja2.Undefined):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PapergenError(f"|{filter_name} got {value!r}, which is not a finite number.")
    return float(value)


def _written(number: float, num_digits: int) -> Tex:
    """A number as `\\result` prints it; the minus needs no macro of `macros`, for templates render without it too."""
    return number_tex(grouped(rounded(number, num_digits)), minus=r"\ensuremath{-}")


def fixed(value: float, num_digits: int = 2) -> Tex:
    """`value` with `num_digits` digits after the point."""
    return _written(_finite(value, "fixed"), num_digits)


def percent(value: float, num_digits: int = 1) -> Tex:
    r"""The fraction `value` as a percentage: `0.1234|percent` prints `12.3\%`."""
    return Tex(_written(100 * _finite(value, "percent"), num_digits) + r"\%")


def thousands(value: float, num_digits: int = 0) -> Tex:
    r"""`value` with thin spaces between groups of three digits from five digits on, as `\result` prints it."""
    return _written(_finite(value, "thousands"), num_digits)


@pass_eval_context
def tex_list(context: nodes.EvalContext, values: Iterable[Any], last: str = "and") -> Tex:
    """An enumeration in prose: `a`, `a and b`, `a, b, and c`."""
    parts = [_finalize(context, value) for value in values]
    if len(parts) < 3:
        return Tex(f" {_finalize(context, last)} ".join(parts))
    return Tex(", ".join(parts[:-1]) + f", {_finalize(context, last)} {parts[-1]}")


@pass_eval_context
def _join(
    context: nodes.EvalContext, values: Iterable[Any], separator: str = "", attribute: str | int | None = None
) -> Tex:
    """The values, or that attribute of each, with TeX or escaped text between them."""
    if attribute is not None:
        values = map(make_attrgetter(context.environment, attribute), values)
    joint = re.sub(r"^\\ |\\ $", " ", _finalize(context, separator))
    return Tex(joint.join(_finalize(context, value) for value in values))


@pass_eval_context
def _escape(context: nodes.EvalContext, value: Any) -> Tex:
    return Tex(_finalize(context, value))


@pass_eval_context
def _sample(context: nodes.EvalContext, value: str, newlines: Newlines = "visible") -> Tex:
    return escape_sample(value, cast("TexEnvironment", context.environment).tex_engine, newlines=newlines)


def _filters() -> Mapping[str, Callable[..., Any]]:
    return {
        "fixed": fixed,
        "percent": percent,
        "thousands": thousands,
        "tex_list": tex_list,
        "join": _join,
        "escape": _escape,
        "e": _escape,
        "safe": lambda value: Tex(value),
        "tex": lambda value: Tex(value),
        "sample": _sample,
        "url": escape_url,
    }


def build_environment(
    engine: Engine = "pdflatex",
    *,
    loader: jinja2.BaseLoader | None = None,
    extensions: Iterable[type[Extension]] = (),
) -> TexEnvironment:
    r"""The environment of `*.tex.j2` files: `\VAR{x}`, `\BLOCK{if x}`, `\#{comment}`; no line statements."""
    return _environment((r"\VAR{", "}", r"\BLOCK{", "}", r"\#{", "}"), engine, loader, extensions)


def scaffold_environment(engine: Engine = "pdflatex", *, loader: jinja2.BaseLoader | None = None) -> TexEnvironment:
    """The environment of `templates/`: `<< x >>`, `<% if x %>`, `<# comment #>`; `x|safe` in files that are not TeX."""
    return _environment(("<<", ">>", "<%", "%>", "<#", "#>"), engine, loader, ())


def _environment(
    signs: tuple[str, str, str, str, str, str],
    engine: Engine,
    loader: jinja2.BaseLoader | None,
    extensions: Iterable[type[Extension]],
) -> TexEnvironment:
    """An environment with these signs around variables, blocks and comments."""
    environment = TexEnvironment(
        variable_start_string=signs[0],
        variable_end_string=signs[1],
        block_start_string=signs[2],
        block_end_string=signs[3],
        comment_start_string=signs[4],
        comment_end_string=signs[5],
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        loader=loader,
        extensions=list(extensions),
    )
    environment.tex_engine = engine
    for name in HTML_FILTERS:
        environment.filters.pop(name, None)
    environment.filters.update(_filters())
    return environment
