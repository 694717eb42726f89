"""Beginnings of texts: cut between words, and between characters where there are no spaces."""

from __future__ import annotations

from papergen.report.excerpts import excerpt


def test_a_text_is_cut_between_words_and_a_chinese_one_between_characters() -> None:
    assert excerpt("one  two\nthree", 13) == "one two three"
    assert excerpt("one  two\nthree", 12) == "one two ..."
    assert excerpt("a" * 50, 40) == "a" * 40 + " ..."
    assert excerpt("第一章 " + "天" * 100, 47) == "第一章 " + "天" * 20 + " ..."
