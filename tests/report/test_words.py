"""Tables of a Chinese paper have Chinese words, wherever a shipped kind brings an English one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from papergen.decoding import reported
from papergen.report.tables import Column, Row, Table
from papergen.report.tex import Tex
from papergen.report.words import CHINESE, in_language
from papergen.resources import shipped

TABLE = Table(
    name="t",
    columns=(Column(name="a", heading="Speed", unit="tokens/s"), Column(name="b", heading=Tex("$n$"))),
    rows=(
        Row(name="r", label="greedy", cells=("1", "2"), group="All rows"),
        Row(name="s", label="mine", cells=("", "")),
    ),
    corner="Strategy",
)


def test_words_are_translated_and_unknown_ones_and_latex_stay() -> None:
    table = in_language(TABLE, "zh")
    assert [column.heading for column in table.columns] == ["速度", "$n$"]
    assert table.columns[0].unit == "词元/秒"
    assert [row.label for row in table.rows] == ["贪心", "mine"]
    assert (table.rows[0].group, table.corner) == ("所有行", "策略")
    assert in_language(TABLE, "en") is TABLE


@pytest.mark.parametrize("source", [shipped("experiments") / "training.py", Path(reported.__file__)])
def test_every_label_of_the_kinds_with_chinese_prose_has_a_chinese_one(source: Path) -> None:
    labels = set(re.findall(r'Metric\(name="\w+", label="([^"]+)"', source.read_text(encoding="utf-8")))
    assert labels
    names = re.compile("(rep|distinct|self)-|EOS")  # names that stay as they are
    words = {label for label in labels if re.search("[A-Za-z]{2}", label) and not names.match(label)}
    assert words <= set(CHINESE), f"add to papergen/report/words.py: {words - set(CHINESE)}"
