"""The processors with lengths as tensors, as a CUDA graph needs them, against the same with numbers."""

import pytest
import torch
from transformers.generation.logits_process import EtaLogitsWarper

from papergen.ml.decoding.processors import LengthLimits, Processors, TextState, _eta
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.stream import uniforms
from papergen.ml.decoding.tokens import Tokens

VOCABULARY = 23
CHANGES = {
    "bias": ({}, {"bias": (((5,), 1.5), ((3, 6), -2.0), ((1, 2, 3, 4, 7), 9.0))}),
    "bad words": ({}, {"forbidden": ((9,), (3, 6), (8, 3, 11))}),
    "repetition": ({"repetition_penalty": 1.7}, {}),
    "no word twice": ({"no_repeat_ngram_size": 1}, {}),
    "no 2-gram twice": ({"no_repeat_ngram_size": 2}, {}),
    "no 4-gram twice": ({"no_repeat_ngram_size": 4}, {}),
    "first token": ({}, {"forced_bos": 4}),
    "last token": ({}, {"forced_eos": (2,)}),
    "EOS grows": ({"exponential_decay_length_penalty": [2, 1.4]}, {}),
    "filters": ({"do_sample": True, "top_p": 0.7, "top_k": 9, "typical_p": 0.9, "eta_cutoff": 0.01}, {}),
}


@pytest.mark.parametrize(("own", "ids"), CHANGES.values(), ids=CHANGES)
def test_lengths_as_tensors_and_room_to_spare_change_nothing(own, ids):
    known = {"eos": (1, 2), "pad": 0, "suppressed": (), "bias": (), "forbidden": (), "forced": ()}
    known |= {"forced_bos": None, "forced_eos": (), "vocabulary_size": VOCABULARY}
    tokens = Tokens(**{**known, **ids})
    processors = Processors(Strategy(max_new_tokens=6, **own), tokens, LengthLimits(6, 0), torch.device("cpu"))
    pads = torch.tensor([0, 0, 1, 2])
    has_acted = []
    for num_new in range(6):
        generator = torch.Generator().manual_seed(num_new)
        width = 3 + num_new
        room = torch.randint(0, VOCABULARY, (4, 12), generator=generator)  # what lies beyond `width` is from before
        room[0, : min(3, width)] = torch.tensor([8, 3, 6])[:width]
        room[1, width - 2 : width] = torch.tensor([8, 3])
        room[3] = 7
        scores = torch.randn(4, VOCABULARY, generator=generator) * 3
        wanted = processors(TextState(room[:, :width], pads, num_new), scores)
        found = processors(TextState(room, pads, torch.tensor(num_new), length=torch.tensor(width)), scores)
        assert torch.equal(found, wanted)
        has_acted.append(not torch.equal(found, scores))
    assert any(has_acted)


@pytest.mark.parametrize("min_new", [1, 3])
def test_no_end_before_its_time_where_that_is_a_tensor(min_new):
    tokens = Tokens(
        eos=(1, 2), pad=0, suppressed=(), bias=(), forbidden=(), forced=(), forced_bos=None, forced_eos=(),
        vocabulary_size=VOCABULARY,
    )  # fmt: skip
    processors = Processors(Strategy(max_new_tokens=6), tokens, LengthLimits(6, min_new), torch.device("cpu"))
    for num_new in range(5):
        ids = torch.zeros(1, 5, dtype=torch.long)
        scores = torch.zeros(1, VOCABULARY)
        found = processors(TextState(ids, torch.zeros(1), torch.tensor(num_new), length=torch.tensor(1)), scores)
        assert found[0, [1, 2]].isinf().all() == (num_new < min_new)


@pytest.mark.parametrize("cutoff", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("keep", [1, 3])
def test_eta_is_that_of_transformers(cutoff, keep):
    scores = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * 3
    scores[::2, :40] = -torch.inf
    found = _eta(cutoff, keep)(TextState(torch.zeros(20, 1, dtype=torch.long), torch.zeros(20), 0), scores)
    assert torch.equal(found, EtaLogitsWarper(cutoff, min_tokens_to_keep=keep)(None, scores))


@pytest.mark.parametrize("step", [0, 1, 77, 2**20])
def test_random_numbers_of_a_step_that_is_a_tensor(step):
    keys = torch.tensor([5, -(2**62), 2**63 - 1])
    assert torch.equal(uniforms(keys, torch.tensor(step), 4), uniforms(keys, step, 4))
