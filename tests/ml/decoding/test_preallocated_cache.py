import pytest
import torch
from transformers import DynamicCache, MistralConfig, MistralForCausalLM
from transformers.generation.logits_process import TopPLogitsWarper

from papergen.ml.decoding import preallocated_cache, stepper
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.processors import TextState, _nucleus
from papergen.ml.decoding.strategy import Strategy

STRATEGIES = [
    {},
    {"do_sample": True, "top_p": 0.9, "num_return_sequences": 3},
    {"num_beams": 4, "num_return_sequences": 2},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"num_beams": 3, "force_words_ids": [[17, 18]]},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": [1, 2]},
]

WITH_DOLA_FOR_DECODERS = [
    (name, own) for name in ("llama", "bart", "t5") for own in STRATEGIES if name == "llama" or "dola_layers" not in own
]
"""DoLa is for decoder-only models."""


def texts(model, prompts, own):
    strategy = Strategy(max_new_tokens=12, **own)
    return generate(model, None, prompts, strategy, seed=0, batch_size=len(prompts))


@pytest.mark.parametrize(("name", "own"), WITH_DOLA_FOR_DECODERS, ids=str)
def test_texts_are_those_of_the_growing_cache_and_one_prefill(own, name, request, prompts, monkeypatch):
    model = request.getfixturevalue(name)
    monkeypatch.setattr(stepper, "PREFILL_TOKENS", {"cpu": 12})
    found = texts(model, prompts, own)
    monkeypatch.setattr(preallocated_cache, "install", lambda *_: [])
    wanted = texts(model, prompts, own)
    assert [one.ids for one in found] == [one.ids for one in wanted]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in wanted], abs=1e-4)


def test_what_is_kept_moves_with_its_row_and_padding_is_a_number():
    cache = DynamicCache()
    cache.layers, cache.layer_class_to_replicate = [preallocated_cache.DynamicLayer()], None
    (layer,) = preallocated_cache.install({"cache": cache}, room=6)
    first, second = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 1, 4)
    layer.begin_part(slice(0, 1), 0, 2)
    assert torch.equal(layer.update(first, first)[0], first)
    layer.begin_part(slice(1, 2), 2, 2)
    layer.update(second, -second)
    layer.end_parts(3)
    assert torch.equal(layer.keys, torch.cat([first, torch.nn.functional.pad(second, (0, 0, 2, 0))]))
    assert torch.equal(layer.values[1, :, 2], -second[0, :, 0])
    cache.reorder_cache(torch.tensor([1, 0, 0]))
    new = torch.randn(3, 2, 2, 4)
    keys, _ = layer.update(new, new)
    assert (keys.shape, layer.get_seq_length()) == ((3, 2, 5, 4), 5)
    layer.move_ends(torch.tensor([1, 2]), torch.tensor([2, 1]), 1)
    assert torch.equal(layer.keys[1, :, :3], first[0])
    assert torch.equal(layer.keys[1, :, 3:], torch.stack([new[1, :, 0], new[2, :, 1]], dim=1))
    with pytest.raises(AssertionError, match="room"):
        layer.update(new, new)


def test_layers_of_another_kind_are_left_alone():
    config = MistralConfig(
        vocab_size=61, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=4,
    )  # fmt: skip
    cache = DynamicCache(config=config)
    assert preallocated_cache.install({"cache": cache}, room=9) == []
    model = MistralForCausalLM(config).eval()
    prompts = [[1, 2, 3, 4, 5, 6], [7]]
    strategy = Strategy(max_new_tokens=6, eos_token_id=None)
    together = generate(model, None, prompts, strategy, seed=0, batch_size=2)
    alone = generate(model, None, prompts, strategy, seed=0, batch_size=1)
    assert [one.ids for one in together] == [one.ids for one in alone]


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("keep", [1, 3])
def test_the_nucleus_is_that_of_transformers(top_p, keep):
    scores = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * 3
    scores[::2, :40] = -torch.inf
    context = TextState(torch.zeros(20, 1, dtype=torch.long), torch.zeros(20, dtype=torch.long), 0)
    found = _nucleus(top_p, keep)(context, scores)
    assert torch.equal(found, TopPLogitsWarper(top_p, min_tokens_to_keep=keep)(context.ids, scores))


def test_among_equals_at_the_edge_of_the_nucleus_the_first_stay():
    scores = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    context = TextState(torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, dtype=torch.long), 0)
    kept = _nucleus(0.6, 1)(context, scores).isfinite()
    assert kept.tolist() == [[True, True, False, False], [True, True, True, False]]
