"""`{name}` in a command line: what may stand there, and what it becomes."""

from __future__ import annotations

import shlex

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.external.placeholders import fill, fill_word, names_in

VALUES = {"lr": 0.25, "on": True, "off": False, "ids": [1, 2], "text": "a b"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("--lr={lr}", "--lr=0.25"),
        ("{lr:.3f}", "0.250"),
        ("{on}{off}", "truefalse"),
        ("{on:--x}{off:--y}", "--x"),
        ("{ids}", "1,2"),
        ("{{lr}}", "{lr}"),
        ("${secret:KEY}", "${secret:KEY}"),
    ],
)
def test_a_placeholder_in_a_text(text: str, filled: str) -> None:
    assert fill(text, VALUES) == filled


@pytest.mark.parametrize(
    ("word", "words"),
    [("{ids}", ["1", "2"]), ("{on:--flag}", ["--flag"]), ("{off:--flag}", []), ("{text}", ["a b"]), ("x", ["x"])],
)
def test_a_placeholder_that_is_a_whole_word(word: str, words: list[str]) -> None:
    assert fill_word(word, VALUES) == words


def test_a_shell_reads_a_value_as_one_word() -> None:
    assert shlex.split(fill("cat {text}", VALUES, shlex.quote)) == ["cat", "a b"]


def test_names_are_found_in_order_and_braces_without_a_partner_refused() -> None:
    assert names_in("{b} {{c}} {a:.2f} ${secret:KEY}") == ["b", "a"]
    for text, message in [("{a", "a single {"), ("a}", "a single }"), ("{a b}", "names no parameter")]:
        with pytest.raises(ValueError, match=message):
            names_in(text)


def test_a_form_that_does_not_suit_the_value_is_a_fault_of_the_command() -> None:
    with pytest.raises(PapergenError, match=r"'a b' cannot be written as {:.2f}") as caught:
        fill("{text:.2f}", VALUES)
    assert caught.value.parameter == "command"
