r"""What \VAR{...} prints is decided by the type of the value; data is never read as TeX or as a template."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from pylatex import NoEscape, Tabular

from papergen.core.errors import PapergenError
from papergen.latex.jinja import build_environment, scaffold_environment
from papergen.latex.text import Tex, to_tex


def rendered(source: str, **context: Any) -> str:
    return build_environment().from_string(source).render(**context)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("50% & more_x", r"50\% \& more\_x"),
        (r"\VAR{secret}", r"\textbackslash{}VAR\{secret\}"),
        (Tex(r"\textbf{x}"), r"\textbf{x}"),
        (NoEscape(r"\emph{x}"), r"\emph{x}"),
        (3, "3"),
        (-3, r"\ensuremath{-3}"),
        ("你", r"{[}U+4F60{]}\hspace{0pt}"),
    ],
)
def test_escaping_is_by_type(value: object, printed: str) -> None:
    assert rendered(r"\VAR{x}", x=value) == printed


def test_pylatex_objects_embed_as_they_are() -> None:
    table = Tabular("l")
    table.add_row(["a & b"])
    assert rendered(r"\VAR{t}", t=table) == table.dumps()


def test_xelatex_keeps_chinese() -> None:
    assert build_environment("xelatex").from_string(r"\VAR{x}").render(x="你 & 好") == r"你 \& 好"


@pytest.mark.parametrize("value", [None, 1.5, float("nan"), True, [1], {"a": 1}, object()])
def test_what_has_no_printed_form_is_refused(value: object) -> None:
    with pytest.raises(PapergenError):
        rendered(r"\VAR{x}", x=value)


@pytest.mark.parametrize("source", [r"\VAR{y}", r"\VAR{x.y}", r"\VAR{y|fixed(2)}", r"\BLOCK{if y}a\BLOCK{endif}"])
def test_nothing_undefined_prints(source: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered(source, x={})


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        (r"\VAR{0.12345|fixed(2)} \VAR{ -2|fixed(1) }", r"0.12 \ensuremath{-}2.0"),
        (r"\VAR{ -0.001|fixed(2)}", "0.00"),
        (r"\VAR{0.1234|percent} \VAR{0.5|percent(0)}", r"12.3\% 50\%"),
        (r"\VAR{1234567|thousands} \VAR{1234.5|thousands(1)}", r"1\,234\,567 1234.5"),
        (r"\VAR{['a&', 'b']|join(' % ')}", r"a\& \% b"),
        (r"\VAR{[]|tex_list}|\VAR{['a']|tex_list}|\VAR{['a', 'b']|tex_list}", "|a|a and b"),
        (r"\VAR{['a', 'b_', 'c']|tex_list('or')}", r"a, b\_, or c"),
        (r"\VAR{'a_b' ~ '&' ~ 1}", r"a\_b\&1"),
        (r"\VAR{t ~ '&'}", r"\x\&"),
        (r"\VAR{'\\emph{x}'|tex}", r"\emph{x}"),
        (r"\VAR{'http://a/b_c'|url}", r"http://a/b\_c"),
        (r"\VAR{('a' ~ '\n' ~ 'b')|sample('space')}", r"a b"),
        (r"\VAR{{'a': {'b': 'x'}}['a']['b']}", "x"),
        (r"a\#{ a comment }b", "ab"),
        (r"\textbf{\VAR{'x'}}", r"\textbf{x}"),
        (r"100\% #1 {#2} %", r"100\% #1 {#2} %"),
    ],
)
def test_filters_and_operators(source: str, printed: str) -> None:
    assert rendered(source, t=Tex(r"\x")) == printed


def test_join_takes_an_attribute() -> None:
    authors = [{"name": "A & B"}, {"name": Tex(r"\"O")}]
    assert rendered(r"\VAR{authors|join(' and ', attribute='name')}", authors=authors) == r"A \& B and \"O"


def test_macros_blocks_and_sets_are_escaped_once() -> None:
    macro = r"\BLOCK{macro f(a)}\textbf{\VAR{a}}\BLOCK{endmacro}"
    outer = r"\BLOCK{macro g()}\textbf{\VAR{caller()}}\BLOCK{endmacro}"
    assert rendered(macro + r"\VAR{f('x & y')}") == r"\textbf{x \& y}"
    assert rendered(macro + r"\VAR{f('&') ~ '&'}") == r"\textbf{\&}\&"
    assert rendered(outer + r"\BLOCK{call g()}\VAR{'_'}\BLOCK{endcall}") == r"\textbf{\_}"
    assert rendered(r"\BLOCK{set z}\em{\VAR{'_'}}\BLOCK{endset}\VAR{z}") == r"\em{\_}"


def test_lines_of_blocks_leave_no_empty_lines() -> None:
    source = "a\n  \\BLOCK{for i in [1, 2]}\n\\VAR{i} \\\\\n  \\BLOCK{endfor}\nz\n"
    assert rendered(source) == "a\n1 \\\\\n2 \\\\\nz\n"


def test_scaffold_tags_leave_build_tags_alone() -> None:
    template = scaffold_environment().from_string(
        "<< title >> \\VAR{x} <# gone #><% if title %>\\BLOCK{if x}<% endif %>"
    )
    assert template.render(title="A & B") == "A \\& B \\VAR{x} \\BLOCK{if x}"


@pytest.mark.parametrize("source", [r"\VAR{-x}", r"\VAR{+x|fixed(1)}", r"a\#{}b"])
def test_what_jinja_would_drop_in_silence_is_refused(source: str) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError):
        rendered(source, x=1)


def test_a_refusal_says_what_to_write() -> None:
    with pytest.raises(PapergenError, match=r"\|fixed\(2\)"):
        to_tex(0.5, "pdflatex")
