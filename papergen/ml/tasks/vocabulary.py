"""A WordPiece tokenizer learnt from the training examples, for a backbone built from scratch (Devlin et al. 2019)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged, Text

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"


def texts_of(examples: Sequence[Example]) -> Iterator[str]:
    """Every text in the examples."""
    for example in examples:
        match example:
            case Text(text):
                yield text
            case Labelled(text, _, second):
                yield from filter(None, (text, second))
            case Tagged(words, _):
                yield " ".join(words)
            case Question(question, context, _):
                yield from (question, context)
            case Choice(context, options, _):
                yield from (context, *options)


def train_wordpiece(texts: Iterable[str], *, vocab_size: int) -> str:
    """The JSON of a cased WordPiece tokenizer; the same texts give the same JSON."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    # A Chinese character is a word, as in BERT's own tokenizer: a clause without spaces would be one of 100 letters.
    han = pre_tokenizers.Split(Regex(r"\p{Han}"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([han, pre_tokenizers.BertPreTokenizer()])
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX)
    once = sorted(set(texts))
    # The trainer numbers the inner characters in the order of a hash table that differs from run to run, and breaks
    # ties of frequency by these numbers: declared beforehand they are always the same.
    inner = _inner_characters(tokenizer, once)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL, *inner],
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    tokenizer.train_from_iterator(once, trainer=trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    learnt = json.loads(tokenizer.to_str())
    # They are pieces of words and nothing else: "##a" in a text is not one.
    learnt["added_tokens"] = [token for token in learnt["added_tokens"] if token["content"] in SPECIAL]
    return json.dumps(learnt, ensure_ascii=False)


def _inner_characters(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Every character that stands in a word but not first, with the prefix, in alphabetical order."""
    words: set[str] = set()
    for text in texts:
        pieces = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        words.update(word for word, _ in pieces)
    return sorted({f"{PREFIX}{char}" for word in words for char in word[1:]})


def wrap(learnt: str, *, max_length: int) -> Any:
    """The tokenizer of `train_wordpiece` for transformers."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(learnt),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
