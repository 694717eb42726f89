"""Embedded data have true labels and no example on both sides; the author's files are read or refused at their line."""

from __future__ import annotations

import io
import itertools
import json
import tokenize
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from papergen.core.errors import PapergenError
from papergen.ml.tasks.embedded import KEYWORDS, embedded, paragraphs_by_topic, source_digest
from papergen.ml.tasks.examples import Choice, Labelled, Question, Tagged, Text, read_examples
from papergen.ml.tasks.pipeline_inputs import inputs_for
from papergen.ml.tasks.settings import HEADS
from papergen.ml.tasks.vocabulary import train_wordpiece


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


def test_lines_end_at_line_ends_only_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    texts = ["第一行\u2028第二行", "a\x85b"]
    lines = "\r\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    (tmp_path / "d.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert read_examples("masked_lm", tmp_path / "d.jsonl", {}) == [Text(text) for text in texts]
    (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbf" + "text\r\n你好\r\n".encode())
    assert read_examples("masked_lm", tmp_path / "d.csv", {}) == [Text("你好")]


def test_a_new_vocabulary_takes_every_chinese_character_for_a_word() -> None:
    learnt = Tokenizer.from_str(train_wordpiece(["这部电影真好看，it was good", "太难看了" * 40], vocab_size=300))
    encoding = learnt.encode("这部good电影")
    assert encoding.tokens == ["[CLS]", "这", "部", "good", "电", "影", "[SEP]"]
    assert encoding.offsets[1:-1] == [(0, 1), (1, 2), (2, 6), (6, 7), (7, 8)]


@pytest.mark.parametrize(
    ("task", "name", "text", "message"),
    [
        ("sequence_classification", "d.csv", "txt,label\na,b\n", "d.csv:2: there is no 'text'. Did you mean txt"),
        ("token_classification", "d.jsonl", '{"words": ["a"], "tags": ["O", "O"]}', "d.jsonl:1: 1 words have 2 tags"),
        ("token_classification", "d.jsonl", '{"words": ["a"], "tags": ["NOUN"]}', "the tag 'NOUN' is not of the IOB2"),
        ("token_classification", "d.jsonl", '{"words": [], "tags": []}', "d.jsonl:1: words = [] is no list of texts"),
        ("token_classification", "d.csv", "words,tags\na b,O O\n", "words = 'a b' is no list written as JSON"),
        ("multiple_choice", "d.jsonl", '{"context": "c", "options": ["a"], "answer": 1}', "answer = 1 is no index"),
        ("question_answering", "d.jsonl", '{"question": "q", "context": "c", "answers": ["x"]}', "does not stand"),
        ("masked_lm", "d.jsonl", '{"text": "a"}\n{', "d.jsonl:2: not JSON"),
        ("multiple_choice", "d.jsonl", '{"context": "c", "options": ["a"], "answer": "A"}', "answer = A is no index"),
        ("question_answering", "d.jsonl", '{"question": "q", "context": "c", "answers": {"text": []}}', "two lists"),
        ("question_answering", "d.jsonl", '{"question": " ", "context": "c", "answers": []}', "question is empty"),
        (
            "sequence_classification",
            "d.csv",
            "text,label\na,b\n ,b\nc,\n",
            "d.csv:3: text is empty.\nd.csv:4: label is",
        ),
        ("sequence_classification", "d.csv", "text,label\na\nb,c,d\n", "d.csv:2: 1 value for the columns text, label"),
        (
            "sequence_classification",
            "d.csv",
            'text,label\n"a,b\nc,d\n',
            "d.csv:2: the row that begins here cannot be read",
        ),
        ("sequence_classification", "d.csv", "text;label\na;b\n", "d.csv:1: one column 'text;label'"),
        ("sequence_classification", "d.csv", "text,text\na,b\n", "d.csv:1: two columns are called 'text'"),
        ("sequence_classification", "d.jsonl", '{"text": ["a"], "label": 1}', "d.jsonl:1: text = ['a'] is no text"),
        ("sequence_classification", "d.jsonl", '{"text": "a", "label": null}', "d.jsonl:1: label is null"),
        (
            "sequence_classification",
            "d.json",
            '[{"text": "a", "label": 1}, 2]',
            "d.json:item 2: a row must be one JSON",
        ),
        ("masked_lm", "d.txt", "a", "neither .csv, .tsv, .jsonl"),
        ("masked_lm", "d.jsonl", "\n", "no example"),
        (
            "masked_lm",
            "d.csv",
            "text\n你好\n",
            "d.csv:2: not UTF-8 text",
        ),
    ],
)
def test_what_cannot_be_read_is_told_at_its_line(task: str, name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="gb18030")  # the same as UTF-8 where all is ASCII
    with pytest.raises(PapergenError) as caught:
        read_examples(task, tmp_path / name, {})
    assert message in str(caught.value)


def test_a_folder_written_by_datasets_is_read(tmp_path: Path) -> None:
    import datasets

    rows = {"words": [["a", "b"], ["c"]], "tags": [["O", "B-X"], ["O"]]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    assert read_examples("token_classification", tmp_path / "saved", {}) == [
        Tagged(("a", "b"), ("O", "B-X")),
        Tagged(("c",), ("O",)),
    ]
    (tmp_path / "other").mkdir()
    with pytest.raises(PapergenError, match="not a folder that datasets' save_to_disk wrote"):
        read_examples("token_classification", tmp_path / "other", {})


def test_all_faulty_rows_are_told_at_once_and_like_ones_together(tmp_path: Path) -> None:
    rows = ["text,label", *["ok,a"] * 2, *[",a"] * 8, "b", "c,"]
    (tmp_path / "d.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(PapergenError) as caught:
        read_examples("sequence_classification", tmp_path / "d.csv", {})
    assert str(caught.value).splitlines()[:3] == [
        "d.csv:4, 5, 6, 7, 8 and 3 more: text is empty.",
        "d.csv:12: 1 value for the columns text, label.",
        "d.csv:13: label is empty.",
    ]


@pytest.mark.parametrize("name", ["数据 1.csv", "数据 1.CSV", "数据 1.tsv", "数据 1.jsonl", "数据 1.json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_chinese_is_read_from_every_form_with_or_without_a_byte_order_mark(
    name: str, encoding: str, tmp_path: Path
) -> None:
    long = "长" * 200_000  # more than the csv module takes by itself
    rows = [{"text": f"很好，\u2028{long}", "label": "正面"}, {"text": "很差", "label": "负面"}]
    mark = "\t" if name.endswith("tsv") else ","
    texts = {
        "v": "\n".join(
            mark.join(f'"{cell}"' for cell in cells) for cells in [rows[0], *(row.values() for row in rows)]
        ),
        "l": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
        "n": json.dumps(rows, ensure_ascii=False, indent=1),
    }
    (tmp_path / name).write_text(texts[name[-1].lower()], encoding=encoding)
    found = read_examples("sequence_classification", tmp_path / name, {})
    assert found == [Labelled(row["text"], row["label"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("text,label\n好,正面\n", "gb18030", "GB18030"),
        ("text,label\n好,正面\n", "utf-16", "UTF-16"),
        ("text,label\ncafé olé,très bon\n", "latin-1", "ENCODING"),
    ],
)
def test_another_encoding_is_told_with_what_turns_it_into_utf_8(
    text: str, encoding: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(text, encoding=encoding)
    with pytest.raises(PapergenError, match=r"d\.csv:\d: not UTF-8 text") as caught:
        read_examples("sequence_classification", tmp_path / "d.csv", {})
    assert f"iconv -f {named} -t UTF-8 FILE > NEW" in str(caught.value)


def test_choices_have_as_many_options_everywhere(tmp_path: Path) -> None:
    rows = [{"context": "c", "options": list(options), "answer": 0} for options in ("ab", "abc", "cd")]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(PapergenError, match=r"d\.jsonl:2: 3 options, and 2 in the first example"):
        read_examples("multiple_choice", tmp_path / "d.jsonl", {})
