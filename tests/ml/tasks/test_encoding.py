"""What the heads are shown: first subwords answer for words, windows cover long contexts, masks belong to examples."""

from __future__ import annotations

import pytest
import taskslab as lab
import torch

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.answer_spans import Span, Window, answer, read_window
from papergen.ml.tasks.encoding import IGNORED, Encoder, num_targets
from papergen.ml.tasks.evaluation import evaluate
from papergen.ml.tasks.examples import Labelled, Question, Tagged, Text
from papergen.ml.tasks.heads import build_head
from papergen.ml.tasks.vocabulary import SPECIAL, texts_of, train_wordpiece, wrap


def encoder(task: str, *, max_length: int = 32, stride: int = 8) -> Encoder:
    base = lab.encoder_of(lab.settings_of(task), lab.examples(task))
    return Encoder(task, base.tokenizer, base.labels, max_length=max_length, doc_stride=stride)


def test_the_first_token_of_a_word_answers_for_it() -> None:
    one = encoder("token_classification")
    (feature,) = one.encode([Tagged(("red", "ned", "nine"), ("B-COLOUR", "O", "O"))])
    words = [label for label in feature.targets["labels"] if label != IGNORED]
    assert [one.labels[label] for label in words] == ["B-COLOUR", "O", "O"]
    assert len(feature.inputs["input_ids"]) > 3 + 2  # the middle word is several tokens


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(PapergenError, match="'shape' stands in the test examples and in no training example"):
        encoder("sequence_classification").encode([Labelled("red", "shape")])


def test_windows_of_a_long_context_cover_it_and_point_at_the_answer_where_it_is_whole() -> None:
    words = [lab.WORDS[index % 6] for index in range(60)]
    context = " ".join(words)
    start = len(" ".join(words[:40])) + 1
    question = Question("which?", context, ((start, words[40]),))
    features = encoder("question_answering").encode([question])
    assert len(features) > 2
    covered = set()
    found = []
    for feature in features:
        covered |= {place for place in feature.offsets if place is not None}
        first, last = feature.targets["start_positions"], feature.targets["end_positions"]
        if first:
            begin, end = feature.offsets[first], feature.offsets[last]
            assert begin is not None
            assert end is not None
            found.append(context[begin[0] : end[1]])
    assert {context[a:b] for a, b in covered} <= set(lab.WORDS)
    assert max(b for _, b in covered) == len(context)
    assert set(found) == {words[40]}
    assert len(found) < len(features)


def test_what_is_masked_depends_on_the_example_and_the_seed_alone() -> None:
    one = encoder("masked_lm")
    features = one.encode([Text(" ".join(lab.WORDS * 3)) for _ in range(6)])
    together = one.batch(features, seed="a")
    for row, feature in enumerate(features):
        alone = one.batch([feature], seed="a")
        width = alone["input_ids"].shape[1]
        assert torch.equal(together["input_ids"][row, :width], alone["input_ids"][0])
        assert torch.equal(together["labels"][row, :width], alone["labels"][0])
    assert not torch.equal(one.batch(features, seed="b")["labels"], together["labels"])


def test_an_evaluation_masks_the_same_share_whatever_training_masks() -> None:
    base = encoder("masked_lm")
    half = Encoder("masked_lm", base.tokenizer, [], max_length=32, doc_stride=8, mlm_probability=0.5)
    features = base.encode([Text(" ".join(lab.WORDS * 4)) for _ in range(50)])
    assert torch.equal(half.batch(features)["labels"], base.batch(features)["labels"])
    share = [float((one.batch(features, seed="a")["labels"] != IGNORED).double().mean()) for one in (base, half)]
    assert share[1] > 2.5 * share[0]


def test_masking_follows_berts_shares() -> None:
    one = encoder("masked_lm")
    features = one.encode([Text(" ".join(lab.WORDS * 4)) for _ in range(400)])
    batch = one.batch(features)
    chosen = batch["labels"] != IGNORED
    real = sum(not flag for feature in features for flag in feature.special)
    assert int(chosen.sum()) / real == pytest.approx(0.15, abs=0.015)
    masked = batch["input_ids"][chosen] == one.tokenizer.mask_token_id
    assert float(masked.double().mean()) == pytest.approx(0.8, abs=0.04)
    kept = batch["input_ids"][chosen] == batch["labels"][chosen]
    assert float(kept.double().mean()) == pytest.approx(0.1, abs=0.03)
    assert num_targets("masked_lm", batch) == int(chosen.sum())


def test_the_best_span_lies_in_the_context_and_goes_forward() -> None:
    offsets = [None, (0, 3), (4, 7), (8, 11), None]
    start = torch.tensor([9.0, 1.0, 2.0, 0.0, 9.0])
    end = torch.tensor([9.0, 5.0, 1.0, 2.0, 9.0])
    window = read_window(start, end, offsets)
    assert window.best == Span(6.0, 0, 3)  # 2 + 5 would run backwards
    assert window.null_score == 18.0
    far = torch.tensor([0.0, 4.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, 4.0, 0.0])
    assert read_window(*far, offsets).best == Span(8.0, 0, 11)
    assert read_window(*far, offsets, max_answer_tokens=2).best == Span(5.0, 0, 7)
    assert read_window(*far, [None] * 5).best is None


def test_no_answer_wins_only_when_no_window_has_a_better_one() -> None:
    without = Window(5.0, Span(4.0, 0, 3))
    with_answer = Window(1.0, Span(3.0, 4, 7))
    assert answer([without], "red blue") == ""
    assert answer([without], "red blue", null_threshold=2.0) == "red"
    assert answer([without, with_answer], "red blue") == "red"
    assert answer([Window(0.0, None)], "red") == ""


def test_the_same_texts_give_the_same_vocabulary_byte_for_byte() -> None:
    texts = list(texts_of(lab.examples("question_answering", 24)))
    learnt = {train_wordpiece(order, vocab_size=120) for order in [texts, texts[::-1]] * 6}
    assert len(learnt) == 1
    words = wrap(learnt.pop(), max_length=32)
    assert words.tokenize("red green") == words.tokenize("red  green")
    assert words.decode(words("seven blue")["input_ids"], skip_special_tokens=True) == "seven blue"
    assert set(words.all_special_tokens) == set(SPECIAL)
    assert "##" not in words.tokenize("##e")[0]  # what looks like an inner piece in a text is not taken for one


def test_a_chinese_character_is_a_word_of_a_new_vocabulary() -> None:
    text = "很" * 150 + "好产品"  # one word of 153 letters would be unknown
    words = wrap(train_wordpiece([text, "a test"], vocab_size=300), max_length=200)
    encoded = words(text, return_offsets_mapping=True)
    tokens = words.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens == ["[CLS]", *text, "[SEP]"]
    assert encoded["offset_mapping"][151] == (150, 151)


def test_a_word_without_a_token_takes_no_other_words_tag() -> None:
    settings = lab.settings_of("token_classification")
    encoder = lab.encoder_of(settings, lab.examples("token_classification"))
    words = ("red", "", "blue")  # as a lone control character is to BERT's own normaliser
    (feature,) = encoder.encode([Tagged(words, ("B-COLOUR", "O", "B-COLOUR"))])
    assert list(feature.words) == [0, 2]
    model = build_head(settings, encoder.tokenizer, encoder.labels).model
    alone = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([float(label == "B-COLOUR") for label in encoder.labels]))
    example = Tagged(words, ("B-COLOUR", "O", "B-COLOUR"))
    scores = evaluate(settings.task, model, encoder, [example], batch_size=8, dtype="float32", ranks=alone)
    assert scores.predictions == ["B-COLOUR O B-COLOUR"]
    assert scores.metrics["entity_f1"] == 100
