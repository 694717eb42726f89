"""The static cache: the same texts as the growing one, in buffers that stay."""

import gc
import inspect
import weakref

import pytest
import torch
from static_cases import OTHERS, STRATEGIES, WITH_DOLA_FOR_DECODERS, assert_same, made, texts
from torch.utils._pytree import tree_map
from transformers import (
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from papergen.ml.decoding import buffers, device_reads, graphs, static_stepper, stepper
from papergen.ml.decoding.engine import Engine


class Replayed(graphs.Steps):
    """What a graph does, without CUDA: from the second call on the outputs are overwritten where they lie."""

    def run(self, key, make):
        if key not in self._steps:
            step = self._steps[key] = graphs._Step(make())
            step.outputs = step.function()
            return step.outputs
        step = self._steps[key]
        tree_map(lambda old, new: old.copy_(new) if isinstance(old, torch.Tensor) else old, step.outputs,
                 step.function())  # fmt: skip
        return step.outputs


@pytest.fixture
def like_graphs(monkeypatch):
    """Steps that keep their outputs, few positions at a time, buffers of odd sizes, prefill in parts."""
    monkeypatch.setattr(buffers, "Steps", Replayed)
    monkeypatch.setattr(buffers, "ALIGNED", 3)
    monkeypatch.setattr(inspect.unwrap(buffers.Buffers.__init__), "__kwdefaults__", {"span": 5, "has_graphs": True})
    monkeypatch.setattr("papergen.ml.decoding.engine.SPAN", 5)
    monkeypatch.setattr(stepper, "PREFILL_TOKENS", {"cpu": 12})


@pytest.mark.parametrize(("name", "own"), WITH_DOLA_FOR_DECODERS, ids=str)
def test_texts_and_scores_are_those_of_the_growing_cache(own, name, request, prompts, like_graphs):
    model = request.getfixturevalue(name)
    wanted = texts(model, prompts, own, Engine("dynamic"))
    engine, timings = Engine("static"), []
    for batch_size in (6, 4, 1):
        assert_same(texts(model, prompts, own, engine, batch_size=batch_size, timings=timings), wanted)
    assert {(one.cache_implementation, one.step) for one in timings} == {("static", "eager")}
    assert {one.step_reason for one in timings} == {"no CUDA graphs on cpu"}


@pytest.mark.parametrize("own", [STRATEGIES[name] for name in ("greedy", "sample", "beam", "contrastive")], ids=str)
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_other_models_with_positions_and_windows_of_their_own(own, name, attention, prompts, like_graphs):
    model = made(name)
    if attention == "sdpa" and not model._supports_sdpa:
        pytest.skip("no such attention")
    model.set_attn_implementation(attention)
    wanted = texts(model, prompts, own, Engine("dynamic"))
    timings = []
    assert_same(texts(model, prompts, own, Engine("static"), batch_size=4, timings=timings), wanted)
    assert {one.cache_implementation for one in timings} == {"static"}


@pytest.mark.parametrize("name", ["greedy", "sample", "beam", "diverse", "constrained"])
def test_ends_at_different_steps_and_long_texts_on_a_trained_model(name, models, oracle):
    prompts, own = oracle["prompt_ids"]["trained"], STRATEGIES[name]
    wanted = texts(models["trained"], prompts, own, Engine("dynamic"), limit=40)
    if name in {"greedy", "sample"}:
        assert len({len(one.ids) for one in wanted}) > 1
    engine = Engine("static")
    for batch_size in (12, 5):
        assert_same(texts(models["trained"], prompts, own, engine, limit=40, batch_size=batch_size), wanted)


def test_rows_that_ended_leave_and_later_batches_build_no_new_steps(models, oracle, monkeypatch):
    prompts = oracle["prompt_ids"]["trained"]
    widths = []
    run = static_stepper.StaticStepper.run
    monkeypatch.setattr(
        static_stepper.StaticStepper, "run",
        lambda self, name, make: widths.append(self.num_rows) or run(self, name, make),
    )  # fmt: skip
    engine, own = Engine("static"), {"do_sample": True, "temperature": 3.0, "eos_token_id": list(range(1, 40))}
    first = texts(models["trained"], prompts, own, engine, batch_size=12, limit=40)
    assert widths[0] == 12
    assert min(widths) < 12
    assert len(widths) <= max(len(one.ids) for one in first) + device_reads.DELAY
    steps = engine._buffers.steps
    known, place = set(steps._steps), engine._buffers.ids.data_ptr()
    again = texts(models["trained"], prompts, own, engine, batch_size=12, limit=40)
    assert [one.ids for one in again] == [one.ids for one in first]
    assert (set(steps._steps), engine._buffers.ids.data_ptr()) == (known, place)


def test_buffers_keep_their_addresses_and_steps_die_with_a_weight_that_moved(llama, prompts):
    engine = Engine("static")
    texts(llama, prompts, {}, engine)
    held = engine._buffers
    places = [tensor.data_ptr() for layer in held.layers for tensor in layer._buffers]
    assert len(held.steps) == 1
    texts(llama, prompts[:1], STRATEGIES["contrastive"], engine)
    assert len(held.steps) == 2
    texts(llama, prompts, {}, engine, limit=6)
    assert places == [tensor.data_ptr() for layer in held.layers for tensor in layer._buffers]
    head = llama.lm_head.weight
    old = head.data
    try:
        head.data = old.clone()
        texts(llama, prompts, {}, engine)
        assert len(held.steps) == 1
    finally:
        head.data = old


def test_the_memory_is_given_back_at_once(llama, prompts):
    engine = Engine("static")
    gc.collect()
    gc.disable()
    try:
        for own in ({}, STRATEGIES["beam"], STRATEGIES["contrastive"], STRATEGIES["dola"]):
            texts(llama, prompts, own, engine)
        held = [weakref.ref(engine._buffers), *(weakref.ref(layer) for layer in engine._buffers.layers)]
        engine.release()
        assert [one() for one in held] == [None] * len(held)
    finally:
        gc.enable()
    assert_same(texts(llama, prompts, {}, engine), texts(llama, prompts, {}, Engine("dynamic")))


class Plain(LlamaForCausalLM):
    _can_compile_fullgraph = False


def test_what_cannot_be_static_grows_and_says_why(llama, prompts):
    plain = Plain(llama.config).eval()
    mamba = MambaForCausalLM(MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=1)).eval()
    cases = [
        (llama, {"use_cache": False}, Engine("static"), "use_cache = false"),
        (llama, {}, Engine("dynamic"), "cache_implementation = dynamic"),
        (llama, {}, Engine(), "no CUDA graphs on cpu"),
        (plain, {}, Engine("static"), "transformers does not compile Plain"),
        (llama, {"prompt_lookup_num_tokens": 2}, Engine("static"), "drafts are checked several tokens at a time"),
        (mamba, {"eos_token_id": None}, Engine("static"), "MambaForCausalLM"),
    ]
    for model, own, engine, reason in cases:
        timings = []
        texts(model, prompts[:2], own, engine, limit=3, timings=timings)
        assert {(one.cache_implementation, one.step) for one in timings} == {("dynamic", "eager")}
        assert all(reason in one.step_reason for one in timings)


def test_late_readings_come_in_their_order():
    late = device_reads.DelayedRead(torch.device("cpu"))
    found = [late.push(torch.tensor(value)) for value in range(8)]
    assert found == [None] * device_reads.DELAY + list(range(8 - device_reads.DELAY))
