"""Columns of a terminal: Chinese characters take two, and so names of any script end at the same column."""

from __future__ import annotations

from rich.cells import cell_len

from papergen.core.widths import excerpt, ljust, rjust, width_of


def test_widths_are_those_of_a_terminal() -> None:
    for text in ("training/ddp", "训练/单进程 seed 0", "核采样（p）", "e\u0301t\u00e9", "ｆｕｌｌ", ""):
        assert width_of(text) == cell_len(text), text
        assert cell_len(ljust(text, 20)) == cell_len(rjust(text, 20)) == 20
        assert (ljust(text, 20).rstrip(), rjust(text, 20).lstrip()) == (text, text)
    assert ljust("训练", 3).rstrip() == rjust("训练", 3).strip() == ljust("训练", 1) == "训练"


def test_a_text_is_cut_between_words_and_a_chinese_one_between_characters() -> None:
    assert excerpt("one  two\nthree", 13) == "one two three"
    assert excerpt("one  two\nthree", 12) == "one two ..."
    assert excerpt("a" * 50, 40) == "a" * 40 + " ..."
    assert excerpt("第一章 " + "天" * 100, 47) == "第一章 " + "天" * 20 + " ..."
