"""Embedded data have true labels and no example on both sides; the author's files are read or refused at their line."""

from __future__ import annotations

import io
import itertools
import json
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from papergen.errors import PapergenError
from papergen.tasks.embedded import KEYWORDS, embedded, paragraphs_by_topic, source_digest
from papergen.tasks.examples import Choice, Labelled, Question, Tagged, Text, read_examples
from papergen.tasks.inputs import inputs_for
from papergen.tasks.settings import HEADS


@pytest.mark.parametrize("task", HEADS)
def test_every_task_has_examples_and_none_is_on_both_sides(task: str) -> None:
    train, test = embedded(task)
    assert len(train) > 300
    assert len(test) > 80
    assert not {repr(example) for example in train} & {repr(example) for example in test}
    assert embedded(task) == (train, test)
    assert len(source_digest(task)) == 64


def test_topics_are_the_ones_that_the_paragraphs_stand_in() -> None:
    for example in embedded("sequence_classification")[0][:50]:
        assert isinstance(example, Labelled)
        assert example.text in paragraphs_by_topic()[example.label]


def test_tags_are_what_pythons_own_tokenizer_says() -> None:
    keywords = 0
    for example in embedded("token_classification")[0][:300]:
        assert isinstance(example, Tagged)
        for word, tag in zip(example.words, example.tags, strict=True):
            if tag == "B-NUMBER":
                first = next(iter(tokenize.generate_tokens(io.StringIO(word).readline)))
                assert first.type == tokenize.NUMBER
            keywords += tag == "B-KEYWORD"
        for before, tag in zip(("O", *example.tags), example.tags, strict=False):
            if tag.startswith("I-"):
                assert before[2:] == tag[2:]
    assert keywords > 50


def test_answers_stand_where_they_are_said_to_and_the_signature_agrees() -> None:
    train = embedded("question_answering")[0]
    answered = [example for example in train if isinstance(example, Question) and example.answers]
    assert 0.3 < len(answered) / len(train) < 0.8
    for example in answered:
        start, text = example.answers[0]
        assert example.context[start : start + len(text)] == text
        name = example.question.split()[5]
        assert example.context[:start].rstrip().endswith("=")
        assert name in example.context[:start]


def test_the_right_option_is_the_next_paragraph_and_stands_anywhere() -> None:
    positions = set()
    following = {
        before: after for pieces in paragraphs_by_topic().values() for before, after in itertools.pairwise(pieces)
    }
    for example in embedded("next_paragraph")[0][:100]:
        assert isinstance(example, Choice)
        assert example.options[example.answer] == following[example.context]
        assert len(set(example.options)) == 4
        positions.add(example.answer)
    assert positions == {0, 1, 2, 3}


def test_the_line_that_was_written_stands_among_others_that_differ_in_their_keyword() -> None:
    train = [example for example in embedded("multiple_choice")[0] if isinstance(example, Choice)]
    written = {" ".join(line.words) for part in embedded("token_classification") for line in part}  # type: ignore[union-attr]
    answers: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for example in train:
        firsts, rests = zip(*(option.split(" ", 1) for option in example.options), strict=True)
        assert {f"_ {rest}" for rest in rests} == {example.context}
        assert len(set(firsts)) == 4
        assert set(firsts) <= set(KEYWORDS)
        assert example.options[example.answer] in written
        answers[firsts[example.answer]] += 1
        shown.update(firsts)
    assert max(answers.values()) < 0.25 * len(train)  # no keyword is an answer by itself
    assert max(shown.values()) - min(shown.values()) < 0.15 * len(train)


def test_a_line_entails_the_one_kind_of_literal_that_it_holds() -> None:
    lines = {" ".join(line.words): line.tags for part in embedded("token_classification") for line in part}  # type: ignore[union-attr]
    said: Counter[str] = Counter()
    for example in embedded("entailment")[0][:400]:
        assert isinstance(example, Labelled)
        kind = example.second.removeprefix("This is about ").removesuffix("s.").upper()
        held = {tag[2:] for tag in lines[example.text]} - {"", "KEYWORD"}
        assert len(held) == 1
        assert held <= {"NUMBER", "STRING", "COMMENT"}
        assert (held == {kind}) == (example.label == "entailment")
        said[example.label] += 1
    assert min(said.values()) > 150


def test_a_line_that_a_task_is_tested_on_was_read_in_no_training() -> None:
    read = {example.text for example in embedded("masked_lm")[0] if isinstance(example, Text)}
    tagged = {" ".join(example.words) for example in embedded("token_classification")[1] if isinstance(example, Tagged)}
    chosen = {
        example.options[example.answer] for example in embedded("multiple_choice")[1] if isinstance(example, Choice)
    }
    paired = {example.text for example in embedded("entailment")[1] if isinstance(example, Labelled)}
    topics = {example.text for example in embedded("sequence_classification")[1] if isinstance(example, Labelled)}
    assert min(map(len, (tagged, chosen, paired, topics))) > 80
    assert not read & (tagged | chosen | paired | topics)


def test_inputs_of_a_pipeline_are_told_once() -> None:
    inputs = inputs_for("zero-shot-classification", [], "entailment", 40, None)
    assert len(set(inputs)) == len(inputs) == 40


def test_csv_and_jsonl_are_read_with_columns_of_other_names(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text('sentence,class\n"good, really",pos\nbad,neg\n', encoding="utf-8")
    columns = {"text": "sentence", "label": "class"}
    assert read_examples("sequence_classification", table, columns) == [
        Labelled("good, really", "pos"),
        Labelled("bad", "neg"),
    ]
    lines = tmp_path / "squad.jsonl"
    context = "It was built in 1889 in Paris."
    rows = [
        {"question": "When?", "context": context, "answers": {"text": ["1889"], "answer_start": [16]}},
        {"question": "Where?", "context": context, "answers": ["Paris"]},
        {"question": "Why?", "context": context, "answers": []},
    ]
    lines.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    found = read_examples("question_answering", lines, {})
    assert [example.answers for example in found if isinstance(example, Question)] == [
        ((16, "1889"),),
        ((24, "Paris"),),
        (),
    ]
    tagged = tmp_path / "tags.csv"
    tagged.write_text('words,tags\n"[""a"",""b""]","[""O"",""B-X""]"\n', encoding="utf-8")
    assert read_examples("token_classification", tagged, {}) == [Tagged(("a", "b"), ("O", "B-X"))]


@pytest.mark.parametrize(
    ("task", "name", "text", "message"),
    [
        ("sequence_classification", "d.csv", "txt,label\na,b\n", "d.csv:2: there is no 'text'. Did you mean txt"),
        ("token_classification", "d.jsonl", '{"words": ["a"], "tags": []}', "d.jsonl:1: 1 words have 0 tags"),
        ("multiple_choice", "d.jsonl", '{"context": "c", "options": ["a"], "answer": 1}', "answer = 1 is no index"),
        ("question_answering", "d.jsonl", '{"question": "q", "context": "c", "answers": ["x"]}', "does not stand"),
        ("masked_lm", "d.jsonl", '{"text": "a"}\n{', "d.jsonl:2: not JSON"),
        ("masked_lm", "d.txt", "a", "neither .csv, .jsonl"),
        ("masked_lm", "d.jsonl", "\n", "no example"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_line(task: str, name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(PapergenError) as caught:
        read_examples(task, tmp_path / name, {})
    assert message in str(caught.value)


def test_a_folder_written_by_datasets_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    rows = {"words": [["a", "b"], ["c"]], "tags": [["O", "B-X"], ["O"]]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    assert read_examples("token_classification", tmp_path / "saved", {}) == [
        Tagged(("a", "b"), ("O", "B-X")),
        Tagged(("c",), ("O",)),
    ]
    (tmp_path / "other").mkdir()
    with pytest.raises(PapergenError, match="not a folder that datasets' save_to_disk wrote"):
        read_examples("token_classification", tmp_path / "other", {})
