"""The text: the same everywhere, split without a leak, and cut into prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.ml.training.corpus import load_corpus, openings, paragraphs, prompts
from papergen.ml.training.settings import TrainingSettings


def test_no_validation_paragraph_of_the_embedded_text_is_trained_on() -> None:
    corpus = load_corpus(TrainingSettings(), Path())
    held = {piece for text in corpus.validation.values() for piece in paragraphs(text)}
    trained = {piece for text in corpus.train.values() for piece in paragraphs(text)}
    assert len(held) > 100
    assert not held & trained
    assert not corpus.train.keys() & corpus.validation.keys()
    assert corpus.num_removed_characters > 10_000, "the topics quote each other, so there is a leak to stop"


def test_the_held_out_share_is_what_was_asked_for() -> None:
    for fraction in (0.05, 0.1, 0.3):
        corpus = load_corpus(TrainingSettings(validation_fraction=fraction), Path())
        held = sum(map(len, corpus.validation.values()))
        assert 0.8 * fraction < held / corpus.num_characters <= fraction


def test_a_single_file_is_cut_at_a_line_near_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"line {number}\n" for number in range(100)))
    corpus = load_corpus(TrainingSettings(corpus="a.txt", validation_fraction=0.2), tmp_path)
    assert corpus.train_text.endswith("\n")
    assert corpus.validation_text.startswith("line 8")
    assert corpus.train_text + corpus.validation_text == (tmp_path / "a.txt").read_text()


def test_a_folder_is_split_by_file_and_its_digest_follows_the_text(tmp_path: Path) -> None:
    texts = tmp_path / "中文 texts"
    (texts / "deep").mkdir(parents=True)
    for number in range(10):
        (texts / "deep" / f"{number}.txt").write_text(f"第 {number} 篇。" * 30, encoding="gb18030")
    (texts / ".hidden").write_bytes(b"\xff")
    settings = TrainingSettings(corpus="中文 texts", encoding="gb18030", validation_fraction=0.2)
    corpus = load_corpus(settings, tmp_path)
    assert len(corpus.validation) == 2
    assert len(corpus.train) == 8
    assert load_corpus(settings, tmp_path).digest == corpus.digest
    (texts / "deep" / "3.txt").write_text("另外。" * 60, encoding="gb18030")
    assert load_corpus(settings, tmp_path).digest != corpus.digest


def test_a_paragraph_on_both_sides_leaves_the_training_side(tmp_path: Path) -> None:
    shared = "This very paragraph stands in every one of the files, spaced anyhow."
    for number in range(10):
        own = f"Paragraph number {number} is found in this one file and nowhere else."
        text = f"{own}\n\n{shared.replace(' ', chr(10), number)}\n\nshort\n"
        (tmp_path / f"{number}.txt").write_text(text)
    corpus = load_corpus(TrainingSettings(corpus=".", validation_fraction=0.2), tmp_path)
    assert shared in " ".join(corpus.validation_text.split())
    assert shared not in " ".join(corpus.train_text.split())
    assert corpus.train_text.count("short") == len(corpus.train)


@pytest.mark.parametrize(
    ("corpus", "message"),
    [("absent.txt", "neither a file nor a folder"), ("empty", "holds no file"), ("latin", "not utf-8")],
)
def test_a_text_that_cannot_be_read_is_named(tmp_path: Path, corpus: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(PapergenError, match=message):
        load_corpus(TrainingSettings(corpus=corpus), tmp_path)


def test_a_text_in_gbk_is_told_with_its_line_and_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("first\n第二行\n".encode("gbk"))
    with pytest.raises(PapergenError, match=r"(?s)a\.txt:2 is not utf-8 text.*`encoding:` to gb18030"):
        load_corpus(TrainingSettings(corpus="a.txt"), tmp_path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    text = "".join(f"第 {number} 行。\n" for number in range(40))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    corpus = load_corpus(TrainingSettings(corpus="a.txt"), tmp_path)
    assert corpus.train_text + corpus.validation_text == text


class Letters:
    """A tokenizer of one token per character."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        return "".join(map(chr, token_ids))


def test_prompts_are_held_out_text_and_its_true_continuation() -> None:
    corpus = load_corpus(TrainingSettings(), Path())
    found = prompts(corpus, Letters(), count=12, prompt_tokens=40, reference_tokens=60)
    assert len({prompt.text for prompt in found}) == 12
    assert len({prompt.document for prompt in found}) > 5
    for prompt in found:
        assert (len(prompt.ids), len(prompt.reference_ids)) == (40, 60)
        assert prompt.text + prompt.reference_text in corpus.validation[prompt.document]


def test_too_many_prompts_are_refused_with_what_there_is() -> None:
    corpus = load_corpus(TrainingSettings(), Path())
    with pytest.raises(PapergenError, match=r"has \d+ passages of 40 \+ 60 tokens, fewer than the 100000"):
        prompts(corpus, Letters(), count=100_000, prompt_tokens=40, reference_tokens=60)


def test_paragraphs_as_documents_are_the_same_text_with_more_ends() -> None:
    whole = load_corpus(TrainingSettings(), Path())
    corpus = load_corpus(TrainingSettings(documents="paragraphs"), Path())
    assert len(corpus.validation) > 5 * len(whole.validation)
    assert all(text.strip() and "\n\n" not in text for text in corpus.validation.values())
    assert "".join("".join(corpus.validation.values()).split()) == "".join(whole.validation_text.split())
    assert corpus.digest != whole.digest


def test_openings_show_how_documents_begin_and_where_they_end() -> None:
    corpus = load_corpus(TrainingSettings(documents="paragraphs"), Path())
    found = openings(corpus, Letters(), count=40, prompt_tokens=20, reference_tokens=100)
    assert len({prompt.document for prompt in found}) == 40
    for prompt in found:
        text = corpus.validation[prompt.document]
        assert (prompt.text + prompt.reference_text == text) == prompt.is_complete == (len(text) <= 120)
    assert {prompt.is_complete for prompt in found} == {True, False}
