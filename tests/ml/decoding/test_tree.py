"""Searches over a tree in the cache: the same hypotheses as with a row of the cache for each of them."""

import pytest

from papergen.ml.decoding import engine
from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.stepper import Stepper
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.tree import TIDY_EVERY, TreeStepper

STRATEGIES = {
    "beam": {"num_beams": 4, "num_return_sequences": 2},
    "beam without EOS": {"num_beams": 3, "eos_token_id": None},
    "beam to the end": {"num_beams": 3, "early_stopping": "never", "repetition_penalty": 1.3},
    "beam sampling": {"num_beams": 4, "do_sample": True, "temperature": 1.5},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "eos_token_id": None},
    "constrained": {"num_beams": 2, "force_words_ids": [[17, 18], [[21], [30, 31]]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4, "eos_token_id": None},
}


class Watched(Engine):
    """Keeps the steppers that it made."""

    def __init__(self):
        super().__init__()
        self.made = []

    def stepper(self, *arguments, **options):
        self.made.append(super().stepper(*arguments, **options))
        return self.made[-1]


def run(model, prompts, parameters, batch_size=6):
    strategy = Strategy.model_validate({"max_new_tokens": 2 * TIDY_EVERY + 5, **parameters})
    watched = Watched()
    found = generate(model, None, prompts, strategy, seed=5, batch_size=batch_size, engine=watched)
    return found, watched.made


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_tree_finds_what_rows_of_their_own_find(name, gpt2, prompts, monkeypatch):
    found, made = run(gpt2, prompts, STRATEGIES[name])
    one_by_one, _ = run(gpt2, prompts, STRATEGIES[name], batch_size=1)
    assert {type(stepper) for stepper in made} == {TreeStepper}
    monkeypatch.setattr(engine, "takes_tree", lambda *_: False)
    plain, made = run(gpt2, prompts, STRATEGIES[name])
    assert {type(stepper) for stepper in made} == {Stepper}
    assert [one.ids for one in found] == [one.ids for one in plain] == [one.ids for one in one_by_one]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in plain], abs=1e-3)


def test_what_no_hypothesis_descends_from_leaves_the_cache(gpt2, prompts):
    _, (beam,) = run(gpt2, prompts, STRATEGIES["beam without EOS"])
    assert beam.num_new == 2 * TIDY_EVERY + 4
    tokens = beam._live - beam.prompt_width
    # The common ancestors of the hypotheses stand there once, and since the last tidying nothing was dropped.
    assert beam.num_new <= tokens < 0.8 * 3 * beam.num_new
    _, (contrastive,) = run(gpt2, prompts, STRATEGIES["contrastive"])
    assert contrastive._live - contrastive.prompt_width == contrastive.num_new


@pytest.mark.parametrize(("name", "own"), [("bart", {}), ("gpt2", {"use_cache": False}), ("gpt2", {"num_beams": 1})])
def test_where_there_is_no_tree(name, own, request, prompts):
    model = request.getfixturevalue(name)
    _, made = run(model, prompts[:2], {"num_beams": 2, "max_new_tokens": 4, **own})
    assert {type(stepper) for stepper in made} == {Stepper}


def test_heads_that_share_keys_have_no_tree(llama, prompts):
    """Transformers would copy the keys for every head."""
    assert llama.config.num_key_value_heads < llama.config.num_attention_heads
    _, made = run(llama, prompts[:2], {"num_beams": 2, "max_new_tokens": 4})
    assert {type(stepper) for stepper in made} == {Stepper}
