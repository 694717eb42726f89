"""Columns of a terminal: Chinese characters take two, and so names of any script end at the same column."""

from __future__ import annotations

from rich.cells import cell_len

from papergen.core.widths import ljust, rjust, width_of


def test_widths_are_those_of_a_terminal() -> None:
    for text in ("training/ddp", "训练/单进程 seed 0", "核采样（p）", "e\u0301t\u00e9", "ｆｕｌｌ", ""):
        assert width_of(text) == cell_len(text), text
        assert cell_len(ljust(text, 20)) == cell_len(rjust(text, 20)) == 20
        assert (ljust(text, 20).rstrip(), rjust(text, 20).lstrip()) == (text, text)
    assert ljust("训练", 3).rstrip() == rjust("训练", 3).strip() == ljust("训练", 1) == "训练"
