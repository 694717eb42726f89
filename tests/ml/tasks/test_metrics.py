"""The measures of the task heads against cases counted by hand and the reference library."""

from __future__ import annotations

import pytest
from seqeval.metrics import f1_score

from papergen.ml.tasks import metrics as m
from papergen.ml.tasks.metrics import exact_match, span_f1


def test_macro_f1_gives_every_class_the_same_weight() -> None:
    gold, found = ["a", "a", "a", "b"], ["a", "a", "b", "b"]
    # a: precision 1, recall 2/3 -> 4/5; b: precision 1/2, recall 1 -> 2/3
    assert m.macro_f1(gold, found) == pytest.approx(100 * (4 / 5 + 2 / 3) / 2)
    assert m.accuracy(gold, found) == 75
    assert m.macro_f1(["a"], ["b"]) == 0  # b was never gold, and counts as a class all the same


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-X I-X O B-X", {("X", 0, 1), ("X", 3, 3)}),
        ("B-X B-X", {("X", 0, 0), ("X", 1, 1)}),
        ("I-X I-X O", {("X", 0, 1)}),
        ("B-X I-Y", {("X", 0, 0), ("Y", 1, 1)}),
        ("O O", set()),
        ("B-X I-X", {("X", 0, 1)}),
    ],
)
def test_entities_as_conlleval_reads_them(tags: str, expected: set[m.Entity]) -> None:
    assert m.entities(tags.split()) == expected


def test_an_entity_counts_only_when_type_and_both_ends_are_right() -> None:
    gold = ["B-X", "I-X", "O", "B-Y"]
    counts = [m.entity_counts(gold, ["B-X", "I-X", "O", "B-Y"]), m.entity_counts(gold, ["B-X", "O", "O", "B-X"])]
    assert counts == [(2, 2, 2), (0, 2, 2)]
    assert m.entity_scores(counts) == (50, 50, 50)
    assert m.entity_scores([(0, 0, 3)]) == (0, 0, 0)


def test_entities_agree_with_seqeval() -> None:
    gold = [["B-X", "I-X", "O", "B-Y"], ["I-Y", "I-X", "B-X"]]
    found = [["B-X", "I-X", "B-Y", "I-Y"], ["B-Y", "I-X", "O"]]
    counts = [m.entity_counts(a, b) for a, b in zip(gold, found, strict=True)]
    assert m.entity_scores(counts)[2] == pytest.approx(100 * f1_score(gold, found))


@pytest.mark.parametrize(
    ("found", "golds", "exact", "f1"),
    [
        ("The Eiffel-Tower!", ["eiffeltower"], 100, 100),
        ("in the year 1999", ["1999"], 0, 50),  # "in year 1999": precision 1/3, recall 1
        ("", [], 100, 100),
        ("something", [], 0, 0),
        ("", ["answer"], 0, 0),
        ("b", ["a b", "c b a"], 100, 100),  # the article "a" does not count
        ("《红楼梦》。", ["红楼梦"], 100, 100),
        ("北京大学", ["北京师范大学"], 0, 80),  # four characters of four and of six
        ("维生素 A", ["维生素 B"], 0, 75),  # no article
        ("1998 年的 iPhone", ["1998年的iphone"], 100, 100),
    ],
)
def test_answers_are_compared_after_squads_normalisation(found: str, golds: list[str], exact: float, f1: float) -> None:
    assert m.exact_match(found, golds) == exact
    assert m.span_f1(found, golds) == pytest.approx(f1)


def test_leaving_one_out_is_what_the_rest_scores() -> None:
    gold, found = ["a", "b", "b", "c", "a"], ["a", "b", "c", "c", "b"]
    for index, score in enumerate(m.macro_f1_without(gold, found)):
        rest = [[*side[:index], *side[index + 1 :]] for side in (gold, found)]
        assert score == pytest.approx(m.macro_f1(*rest))
    counts = [(1, 2, 2), (0, 1, 3), (2, 2, 2)]
    for index, scores in enumerate(m.entity_scores_without(counts)):
        assert scores == pytest.approx(m.entity_scores([*counts[:index], *counts[index + 1 :]]))


def test_chinese_answers_are_compared_character_by_character() -> None:
    assert span_f1("在巴黎。", ["巴黎"]) == pytest.approx(80.0)  # 2 of 3 and 2 of 2 characters
    assert exact_match("巴黎！", ["巴黎"]) == 100
    assert exact_match("“a”—b", ["a b"]) == 0  # English as SQuAD's own script has it
