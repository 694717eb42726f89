r"""The small language of claims and of computed keys: tokens and a tree, never Python's eval.

    claim      = all { "or" all } ;  all = denial { "and" denial } ;  denial = [ "not" ] comparison
    comparison = sum { ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum }
    sum        = product { ( "+" | "-" ) product } ;  product = unary { ( "*" | "/" ) unary } ;  unary = [ "-" ] atom
    atom       = number [ "%" ] | key | name | '"' text '"' | name "(" arguments ")" | "[" list "]" | "(" claim ")"

A key is `experiment/row/metric` without spaces (in quotes when a part begins with a digit); operators beside keys stand
between spaces, because `-`, `+` and `/` may belong to a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from papergen.core.errors import PapergenError
from papergen.core.widths import width_of

_WORD = r"\w(?:[\w.+@-]*\w)?"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?%?(?![\w@]))
  | (?P<name>{_WORD}(?:/{_WORD}){{0,2}})
  | "(?P<text>[^"]*)"
  | (?P<sign><=|>=|==|!=|[-+*/<>()\[\],=])
)""",
    re.VERBOSE,
)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_WORDS = ("and", "or", "not")


@dataclass(frozen=True)
class Node:
    """A part of an expression; `column` counts from 1."""

    column: int


@dataclass(frozen=True)
class Number(Node):
    """A number as written."""

    value: float
    """5 for `5` and 0.05 for `5%`."""
    is_percent: bool


@dataclass(frozen=True)
class Name(Node):
    """A key, a row's or metric's name, or a quoted text."""

    text: str


@dataclass(frozen=True)
class Items(Node):
    """A list."""

    items: Sequence[Node]


@dataclass(frozen=True)
class Call(Node):
    """A function and its arguments."""

    function: str
    arguments: Sequence[Node]
    options: Mapping[str, Node]


@dataclass(frozen=True)
class Operation(Node):
    """A sign or word and its one or two operands."""

    sign: str
    operands: Sequence[Node]


@dataclass(frozen=True)
class Comparison(Node):
    """A chain: `a < b <= c`."""

    signs: Sequence[str]
    operands: Sequence[Node]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> Node:
    """The tree of an expression; ExpressionError shows the column and what would be right there."""
    return _Parser(text).whole()


class ExpressionError(PapergenError):
    """An error that says at which column of an expression it is."""


def fault(text: str, column: int, message: str) -> ExpressionError:
    """An error about one place of an expression."""
    return ExpressionError(f"column {column}: {message}", hint=f"  {text}\n  {' ' * width_of(text[: column - 1])}^")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._split())
        self.at = 0

    def whole(self) -> Node:
        tree = self._either()
        if self._next.kind != "end":
            raise self._fault(f"{self._next.text!r} is one too many here, or an operator is missing before it.")
        return tree

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while self.text[at:].strip():
            match = _TOKEN.match(self.text, at)
            if match is None:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                raise fault(self.text, start + 1, f"{self.text[start]!r} means nothing here.")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
            at = match.end()
        return [*tokens, _Token("end", "the end", len(self.text) + 1)]

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def _has(self, *signs: str) -> bool:
        return self._next.kind in {"sign", "name"} and self._next.text in signs

    def _expect(self, sign: str) -> None:
        if not self._has(sign):
            raise self._fault(f"expected {sign!r}, found {self._next.text!r}.")
        self._take()

    def _fault(self, message: str) -> ExpressionError:
        return fault(self.text, self._next.column, message)

    def _either(self) -> Node:
        return self._chain(("or",), self._all)

    def _all(self) -> Node:
        return self._chain(("and",), self._denial)

    def _chain(self, signs: Sequence[str], part: object) -> Node:
        assert callable(part)
        left: Node = part()
        while self._has(*signs):
            sign = self._take()
            left = Operation(sign.column, sign.text, (left, part()))
        return left

    def _denial(self) -> Node:
        if self._has("not"):
            sign = self._take()
            return Operation(sign.column, "not", (self._denial(),))
        first = self._sum()
        signs: list[str] = []
        operands = [first]
        while self._has(*_COMPARISONS):
            signs.append(self._take().text)
            operands.append(self._sum())
        return Comparison(first.column, signs, operands) if signs else first

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._unary)

    def _unary(self) -> Node:
        if self._has("-"):
            sign = self._take()
            return Operation(sign.column, "-", (self._unary(),))
        return self._atom()

    def _atom(self) -> Node:
        token = self._next
        if token.kind == "number":
            self._take()
            is_percent = token.text.endswith("%")
            return Number(token.column, float(token.text.rstrip("%")) / (100 if is_percent else 1), is_percent)
        if token.kind == "text":
            self._take()
            return Name(token.column, token.text)
        if token.kind == "name" and token.text not in _WORDS:
            self._take()
            if self._has("(") and "/" not in token.text:
                return self._call(token)
            return Name(token.column, token.text)
        if self._has("("):
            self._take()
            inner = self._either()
            self._expect(")")
            return inner
        if self._has("["):
            self._take()
            items = self._listed("]")
            return Items(token.column, items)
        raise self._fault(f"expected a key, a number or a function, found {token.text!r}.")

    def _call(self, name: _Token) -> Node:
        self._take()
        arguments: list[Node] = []
        options: dict[str, Node] = {}
        while not self._has(")"):
            follows = self.tokens[self.at + 1]
            if self._next.kind == "name" and follows.kind == "sign" and follows.text == "=":
                option = self._take()
                self._take()
                options[option.text] = self._either()
            else:
                arguments.append(self._either())
            if not self._has(")"):
                self._expect(",")
        self._take()
        return Call(name.column, name.text, arguments, options)

    def _listed(self, end: str) -> list[Node]:
        items: list[Node] = []
        while not self._has(end):
            items.append(self._either())
            if not self._has(end):
                self._expect(",")
        self._take()
        return items
