"""A strategy met by a model and its tokenizer: names become token ids, and what does not fit the model is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from papergen.core.errors import PapergenError, gathered
from papergen.ml.decoding.parameters import StrategyParameters, Token

Phrases = tuple[tuple[int, ...], ...]
"""One constraint: any one of these token sequences satisfies it."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Every token id that a strategy acts on, for one model."""

    eos: tuple[int, ...]
    pad: int
    suppressed: tuple[int, ...]
    bias: tuple[tuple[tuple[int, ...], float], ...]
    forbidden: tuple[tuple[int, ...], ...]
    forced: tuple[Phrases, ...]
    forced_bos: int | None
    """First token that the model's own settings demand (BART, mBART); encoder-decoder models only."""
    forced_eos: tuple[int, ...]
    """Last token that the model's own settings demand at the length limit; encoder-decoder models only."""
    vocabulary_size: int


def tokens_for(strategy: StrategyParameters, model: Any, tokenizer: Any) -> Tokens:
    """The token ids of `strategy` under `model`; PapergenError for ids it does not have and for acts without effect.

    `tokenizer` may be None when the strategy forces no words.
    """
    size = int(model.config.get_text_config().vocab_size)
    eos = _eos(strategy, model)
    own = model.generation_config
    is_encoder_decoder = bool(model.config.is_encoder_decoder)
    found = Tokens(
        eos=eos,
        pad=_pad(strategy, model, tokenizer, eos),
        suppressed=tuple(_expanded(strategy.suppress_tokens or (), eos)),
        bias=tuple((ids, bias) for sequence, bias in strategy.sequence_bias or () for ids in _spelled(sequence, eos)),
        forbidden=tuple(ids for sequence in strategy.bad_words_ids or () for ids in _spelled(sequence, eos)),
        forced=(*_forced_ids(strategy), *_forced_words(strategy, tokenizer)),
        forced_bos=own.forced_bos_token_id if is_encoder_decoder else None,
        forced_eos=_as_tuple(own.forced_eos_token_id) if is_encoder_decoder else (),
        vocabulary_size=size,
    )
    faults = list(_faults(strategy, found))
    if faults:
        raise gathered(faults, "faults in the strategy")
    return found


def _eos(strategy: StrategyParameters, model: Any) -> tuple[int, ...]:
    if strategy.eos_token_id != "model":
        return _as_tuple(strategy.eos_token_id)
    own = model.generation_config.eos_token_id
    return _as_tuple(model.config.get_text_config().eos_token_id if own is None else own)


def _pad(strategy: StrategyParameters, model: Any, tokenizer: Any, eos: tuple[int, ...]) -> int:
    """Padding is masked, so any token does where neither the strategy, the tokenizer nor the model names one."""
    if strategy.pad_token_id != "model":
        return strategy.pad_token_id
    named = (getattr(tokenizer, "pad_token_id", None), model.generation_config.pad_token_id, *eos, 0)
    return int(next(token for token in named if token is not None))


def _as_tuple(value: int | Sequence[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _expanded(tokens: Iterable[Token], eos: tuple[int, ...]) -> Iterator[int]:
    for token in tokens:
        if isinstance(token, int):
            yield token
        else:
            yield from eos


def _spelled(sequence: tuple[Token, ...], eos: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The token sequences that `sequence` stands for: one per EOS token where it names EOS."""
    spelled: list[tuple[int, ...]] = [()]
    for token in sequence:
        spelled = [(*start, end) for start in spelled for end in _expanded((token,), eos)]
    return spelled


def _forced_ids(strategy: StrategyParameters) -> Iterator[Phrases]:
    for item in strategy.force_words_ids or ():
        choices = [part for part in item if isinstance(part, tuple)]
        phrase = tuple(part for part in item if isinstance(part, int))
        yield tuple(choices) if choices else (phrase,)


def _forced_words(strategy: StrategyParameters, tokenizer: Any) -> Iterator[Phrases]:
    if strategy.force_words is None:
        return
    if tokenizer is None:
        raise PapergenError("force_words needs a tokenizer.", hint="Give force_words_ids, or a model with a tokenizer.")
    for item in strategy.force_words:
        choices = (item,) if isinstance(item, str) else item
        yield tuple(dict.fromkeys(word_ids(word, tokenizer) for word in choices))


def word_ids(word: str, tokenizer: Any) -> tuple[int, ...]:
    """The tokens of `word` inside a text: after a space where the tokenizer writes the space into the token."""
    spaced: list[int] = tokenizer.encode(f" {word}", add_special_tokens=False)
    plain: list[int] = tokenizer.encode(word, add_special_tokens=False)
    ids = spaced if tokenizer.decode(spaced) == f" {word}" else plain
    if word.strip() not in tokenizer.decode(ids):
        raise PapergenError(
            f"force_words: the tokenizer cannot write {word!r} (it becomes {tokenizer.decode(ids)!r}).",
            hint="Choose a word that the model's vocabulary has.",
        )
    return tuple(ids)


def _faults(strategy: StrategyParameters, tokens: Tokens) -> Iterator[str]:
    used = {
        "eos_token_id": tokens.eos if strategy.eos_token_id != "model" else (),
        "pad_token_id": (tokens.pad,) if strategy.pad_token_id != "model" else (),
        "suppress_tokens": tokens.suppressed,
        "sequence_bias": [token for ids, _ in tokens.bias for token in ids],
        "bad_words_ids": [token for ids in tokens.forbidden for token in ids],
        "force_words_ids": [token for phrases in tokens.forced for ids in phrases for token in ids],
    }
    for name, ids in used.items():
        for token in ids:
            if not 0 <= token < tokens.vocabulary_size:
                yield f"{name}: token {token} is outside the model's vocabulary of {tokens.vocabulary_size}."
    if strategy.pad_token_id in tokens.eos:
        yield (
            f"pad_token_id = {strategy.pad_token_id} is the model's EOS. Padding is masked, so this delays nothing."
            " Leave it out; against early ends try min_new_tokens or suppress_tokens: [eos]."
        )
    for ids in tokens.forbidden:
        if len(ids) == 1 and ids[0] in tokens.eos:
            yield f"bad_words_ids = [[{ids[0]}]] is EOS, which it cannot forbid. Try suppress_tokens: [eos]."
    for phrases in tokens.forced:
        for ids in phrases:
            if set(ids) & set(tokens.eos):
                yield f"force_words_ids: {list(ids)} contains EOS, after which nothing is generated. Take it out."
            if set(ids) & set(tokens.suppressed):
                yield f"force_words_ids: {list(ids)} contains a token of suppress_tokens. Keep one of them."
            for words in tokens.forbidden:
                if any(ids[at : at + len(words)] == words for at in range(len(ids))):
                    yield f"force_words_ids: {list(ids)} contains {list(words)} of bad_words_ids. Keep one of them."
    if not tokens.eos and strategy.eos_token_id == "model":
        wanted = {"min_new_tokens": strategy.min_new_tokens, "min_length": strategy.min_length}
        named = [name for name, value in wanted.items() if value is not None]
        if "eos" in (strategy.suppress_tokens or ()):
            named.append("suppress_tokens: [eos]")
        if any("eos" in sequence for sequence, _ in strategy.sequence_bias or ()):
            named.append("sequence_bias on eos")
        if strategy.exponential_decay_length_penalty is not None:
            named.append("exponential_decay_length_penalty")
        if named:
            yield f"{', '.join(named)}: this model has no EOS token, so it changes nothing. Leave it out."
