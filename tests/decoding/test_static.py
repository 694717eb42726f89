"""The static cache: the same texts as the growing one, by steps that could be CUDA graphs."""

import copy
import gc
import inspect
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    DynamicCache,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from papergen.decoding import buffers, graphs, lagging, processors, static_stepper, stepper
from papergen.decoding.engine import Engine
from papergen.decoding.generate import generate
from papergen.decoding.processors import Limits, Processors
from papergen.decoding.search import Batch
from papergen.decoding.settings import Strategy
from papergen.decoding.static_sampling import _Texts
from papergen.decoding.tokens import tokens_for

STRATEGIES = {
    "greedy": {},
    "sample": {"do_sample": True, "top_p": 0.9, "num_return_sequences": 3},
    "penalties": {
        "do_sample": True,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 4,
        "sequence_bias": [[[5, 7], -2.0], [[1], 1.0]],
        "exponential_decay_length_penalty": [3, 1.1],
        "eta_cutoff": 0.001,
    },
    "beam": {"num_beams": 4, "num_return_sequences": 2},
    "beam_sample": {"num_beams": 3, "do_sample": True, "top_k": 20},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "constrained": {"num_beams": 3, "force_words_ids": [[17, 18]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": [1], "do_sample": True, "num_return_sequences": 2},
}
SMALL = {"vocab_size": 61, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "max_position_embeddings": 64}
SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, **SMALL,
}  # fmt: skip
OTHERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, **SMALL)),
    "mistral with a window": lambda: MistralForCausalLM(MistralConfig(sliding_window=4, **SHAPE)),
    "gemma2, windows in turns": lambda: Gemma2ForCausalLM(Gemma2Config(sliding_window=5, head_dim=8, **SHAPE)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, **SMALL)
    ),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32,
                  **SMALL)
    ),
    "bloom, positions by alibi": lambda: BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=2, **SMALL)),
}  # fmt: skip


def made(name):
    torch.manual_seed(3)
    model = OTHERS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()


def texts(model, prompts, own, engine, *, batch_size=6, limit=12, timings=None):
    strategy = Strategy(max_new_tokens=limit, **own)
    return generate(model, None, prompts, strategy, seed=0, batch_size=batch_size, engine=engine, timings=timings)


def assert_same(found, wanted):
    assert [one.ids for one in found] == [one.ids for one in wanted]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in wanted], abs=1e-4)
    assert [one.score or 0.0 for one in found] == pytest.approx([one.score or 0.0 for one in wanted], abs=1e-4)
    assert [one.is_met for one in found] == [one.is_met for one in wanted]


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
    monkeypatch.setattr("papergen.decoding.engine.SPAN", 5)
    monkeypatch.setattr(stepper, "PREFILL_TOKENS", {"cpu": 12})


@pytest.mark.parametrize("own", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("name", ["llama", "bart", "t5"])
def test_texts_and_scores_are_those_of_the_growing_cache(own, name, request, prompts, like_graphs):
    model = request.getfixturevalue(name)
    if model.config.is_encoder_decoder and "dola_layers" in own:
        pytest.skip("DoLa is for decoder-only models")
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


class Frozen(graphs.Steps):
    """A capture without CUDA: the second call notes every operation with its tensors, the next ones do just these.

    What Python does between the operations happens once, as in a CUDA graph, and so does every number it puts in.
    """

    def run(self, key, make):
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = graphs._Step(make())
            return step.function()
        if step.graph is None:
            found = []
            step.graph = make_fx(lambda: found.append(step.function()) or found[0])()
            step.outputs = found[0]
            return step.outputs
        tree_map(lambda old, new: old.copy_(new) if isinstance(old, torch.Tensor) else old, step.outputs, step.graph())
        return step.outputs


FROZEN = [
    *[("llama", name) for name in STRATEGIES],
    *[(name, strategy) for name in ("bart", "t5") for strategy in ("sample", "diverse", "contrastive")],
    *[(name, "sample") for name in OTHERS],
]


@pytest.mark.parametrize(("name", "strategy"), FROZEN)
def test_a_step_that_is_noted_once_and_replayed_gives_the_same_texts(name, strategy, request, prompts, monkeypatch):
    monkeypatch.setattr(buffers, "Steps", Frozen)
    monkeypatch.setattr(processors, "_ordered", lambda scores: scores.sort(dim=1).values)  # as on CUDA
    model = made(name) if name in OTHERS else request.getfixturevalue(name)
    own, engine = STRATEGIES[strategy], Engine("static")
    other = [[token % 60 + 1 for token in prompt] for prompt in prompts]
    for batch in (prompts, other, prompts[::-1]):
        assert_same(texts(model, batch, own, engine), texts(model, batch, own, Engine("dynamic")))
    noted = [step.graph for step in engine._buffers.steps._steps.values() if step.graph is not None]
    assert noted
    assert all(len(graph.graph.nodes) > 50 for graph in noted)


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
    assert len(widths) <= max(len(one.ids) for one in first) + lagging.LAG
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


class NoWaiting(TorchDispatchMode):
    """Fails where a CUDA stream would have to be waited for: a value read on the host, or a tensor made of numbers."""

    FORBIDDEN = (
        "_local_scalar_dense",
        "nonzero",
        "is_nonzero",
        "masked_select",
        "equal",
        "unique",
        "lift_fresh",
        "item",
    )

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        name = function.__name__.partition(".")[0]
        assert name not in self.FORBIDDEN, f"the host waits in {name}"
        flags = name.startswith("index") and isinstance(args[1], list | tuple)
        assert not (flags and any(one is not None and one.dtype == torch.bool for one in args[1])), (
            "the host waits for the size of a selection"
        )
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("own", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("name", ["llama", "t5", "bart"])
def test_after_the_prompts_no_step_of_any_search_makes_the_host_wait(own, name, request, prompts, monkeypatch):
    model = request.getfixturevalue(name)
    if model.config.is_encoder_decoder and "dola_layers" in own:
        pytest.skip("DoLa is for decoder-only models")
    mode, mark = NoWaiting(), stepper.Stepper.mark
    num_marks = []

    def watched(self):
        mark(self)
        num_marks.append(1)
        if len(num_marks) == 1:  # what a search makes of numbers, once per batch, is there now
            mode.__enter__()

    monkeypatch.setattr(stepper.Stepper, "mark", watched)
    monkeypatch.setattr(lagging.Lagging, "push", lambda *_: None)  # which waits, for what is old
    monkeypatch.setattr(processors, "_ordered", lambda scores: scores.sort(dim=1).values)  # as on CUDA
    try:
        texts(model, prompts, own, Engine("static"))
    finally:
        if num_marks:
            mode.__exit__(None, None, None)
    assert len(num_marks) == 12


def test_the_watch_sees_what_waits():
    flags = torch.tensor([True, False])
    for wait in (lambda: bool(flags.any()), lambda: flags.nonzero(), lambda: torch.tensor(3), lambda: flags[flags]):
        with pytest.raises(AssertionError, match="the host waits"), NoWaiting():
            wait()


@pytest.mark.parametrize(
    ("name", "strategy", "backend"),
    [
        ("llama", "greedy", "aot_eager"),
        ("llama", "beam", "eager"),
        ("gpt2", "sample", "eager"),
        ("gpt2", "dola", "eager"),
        ("bart", "greedy", "eager"),
    ],
)
def test_the_model_compiles_whole_and_once_per_shape(name, strategy, backend, request, prompts):
    own = STRATEGIES[strategy]
    model = made(name) if name in OTHERS else request.getfixturevalue(name)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    wanted = texts(model, prompts, own, Engine("dynamic"), limit=10)
    engine, timings = Engine("static", torch_compile=True, backend=backend), []
    assert_same(texts(model, prompts, own, engine, limit=10, timings=timings), wanted)
    assert {(one.step, one.step_reason) for one in timings} == {("compiled", "no CUDA graphs on cpu")}
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    other = [[token % 60 + 1 for token in prompt] for prompt in prompts]
    assert_same(texts(model, other, own, engine, limit=10), texts(model, other, own, Engine("dynamic"), limit=10))
    assert counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()


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


def test_a_compiler_that_fails_is_named_and_does_without(llama, prompts):
    def broken(*_):
        raise ValueError("no code for you")

    torch._dynamo.reset()
    timings = []
    engine = Engine("static", torch_compile=True, backend=broken)
    found = texts(llama, prompts, {}, engine, timings=timings)
    assert_same(found, texts(llama, prompts, {}, Engine("dynamic")))
    assert {one.step for one in timings} == {"eager"}
    assert "torch.compile refused the model: BackendCompilerFailed" in timings[0].step_reason
    torch._dynamo.reset()


def test_late_readings_come_in_their_order():
    late = lagging.Lagging(torch.device("cpu"))
    found = [late.push(torch.tensor(value)) for value in range(8)]
    assert found == [None] * lagging.LAG + list(range(8 - lagging.LAG))


class OnlyMeta(TorchDispatchMode):
    """Fails where a tensor of another device is made or used: on CUDA that is a copy from the host."""

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, found)):
            if isinstance(one, torch.Tensor):
                assert one.device.type == "meta", f"a tensor of {function} comes from the host"
        return found


@pytest.mark.parametrize("own", [STRATEGIES[name] for name in ("greedy", "sample", "penalties", "dola")], ids=str)
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral with a window", "gemma2, windows in turns", "gpt_neox"])
def test_a_whole_step_runs_on_a_device_without_data_and_makes_nothing_elsewhere(
    own, name, request, monkeypatch, prompts
):
    """On `meta` a value that is read is an error, and so is a tensor of the CPU among the others, as on CUDA."""
    model = copy.deepcopy(request.getfixturevalue(name) if name == "llama" else made(name)).to("meta")
    model.set_attn_implementation("eager")  # whose prefill does not look whether there is padding
    monkeypatch.setattr(stepper.Stepper, "_parts", lambda _: [])
    strategy = Strategy(max_new_tokens=8, **own)
    tokens, limits = tokens_for(strategy, model, None), Limits(8, 4)
    ids = torch.ones(2, 5, dtype=torch.long, device="meta")
    kwargs = {
        "attention_mask": torch.ones_like(ids), "position_ids": torch.ones_like(ids), "use_cache": True,
        "logits_to_keep": 1, "cache": DynamicCache(config=model.config),
    }  # fmt: skip
    layers = (1,) if "dola_layers" in own else None
    with torch.inference_mode():
        drive = Engine("static").stepper(model, ids, kwargs, max_new=8, layers=layers)
        keys = torch.ones(2, 1, dtype=torch.long, device="meta")
        device = torch.device("meta")
        batch = Batch(drive, strategy, tokens, limits, Processors(strategy, tokens, limits, device), keys)
        logits = drive.prefill()
        found = _Texts(batch, drive)
        found.choosing()(logits, drive.plain)
        with NoWaiting(), OnlyMeta():
            count = drive.run(found.key, found.stepping)
    assert count.device.type == "meta"
    with pytest.raises((RuntimeError, NotImplementedError)):
        int(count)
    with pytest.raises(AssertionError, match="comes from the host"), OnlyMeta():
        drive.buffers.pads.add_(torch.ones((), dtype=torch.long))


class FakeCuda:
    """The part of torch.cuda that `Steps` uses: a capture that keeps what was called, on tensors of the CPU."""

    def __init__(self, error=None):
        self.error, self.num_captures = error, 0

    def graph(self, graph, **_):
        fake = self

        class Capturing:
            def __enter__(self):
                fake.num_captures += 1
                if fake.error is not None:
                    raise fake.error

            def __exit__(self, *_):
                return False

        return Capturing()


def test_steps_run_then_are_captured_then_replayed_and_a_refused_capture_runs_nothing_twice(monkeypatch):
    for error in (None, RuntimeError("operation not permitted when stream is capturing\nmore")):
        fake, calls, replays, streams = FakeCuda(error), [], [], []
        monkeypatch.setattr(torch.cuda, "graph", fake.graph)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "present")
        monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: replays.append(1)))  # noqa: B023
        monkeypatch.setattr(graphs.Steps, "_aside", lambda _, function: function())
        steps = graphs.Steps(torch.device("cuda"))
        assert steps.refusal is None
        outputs = [steps.run("a", lambda: lambda: calls.append(1) or len(calls)) for _ in range(5)]  # noqa: B023
        if error is None:
            assert (len(calls), len(replays), outputs) == (2, 4, [1, 2, 2, 2, 2])
            assert steps.refusal is None
        else:
            assert (len(calls), len(replays), outputs) == (5, 0, [1, 2, 3, 4, 5])
            assert streams == ["present"]
            assert steps.refusal == (
                "CUDA would not capture the step: operation not permitted when stream is capturing"
            )
        assert fake.num_captures == 1


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def on_gpu(request):
    """Models moved to the GPU for a test."""
    moved = []

    def move(name):
        moved.append(request.getfixturevalue(name) if name in {"llama", "bart", "t5"} else made(name))
        return moved[-1].to("cuda")

    yield move
    for model in moved:
        model.to("cpu")


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("own", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("name", ["llama", "bart", "t5", "gpt2", "mistral with a window"])
def test_graphs_give_the_texts_of_single_steps(own, name, on_gpu, prompts):
    model = on_gpu(name)
    if model.config.is_encoder_decoder and "dola_layers" in own:
        pytest.skip("DoLa is for decoder-only models")
    wanted = texts(model, prompts, own, Engine("dynamic"))
    engine, timings = Engine(), []
    for batch_size in (6, 6, 4):
        assert_same(texts(model, prompts, own, engine, batch_size=batch_size, timings=timings), wanted)
    assert {(one.cache_implementation, one.step, one.step_reason) for one in timings} == {("static", "cuda_graph", "")}
    assert any(step.graph is not None for step in engine._buffers.steps._steps.values())
    for timing in timings:
        assert timing.start_s < timing.token_s[0] <= timing.token_s[-1] <= timing.end_s + 1e-3
        assert list(timing.token_s) == sorted(timing.token_s)


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("own", [STRATEGIES[name] for name in ("greedy", "penalties", "beam")], ids=str)
def test_memory_does_not_grow_from_step_to_step_or_batch_to_batch(own, on_gpu, prompts):
    model, engine = on_gpu("llama"), Engine()
    own = {**own, "eos_token_id": None} if "min_new_tokens" not in own else own
    for _ in range(3):
        texts(model, prompts, own, engine, limit=40)
    held, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for _ in range(5):
        texts(model, prompts, own, engine, limit=40)
    assert torch.cuda.memory_allocated() <= held
    assert torch.cuda.memory_reserved() <= reserved


@pytest.mark.gpu
@GPU
def test_no_search_on_the_gpu_makes_the_host_wait_within_its_steps(on_gpu, prompts, monkeypatch):
    """By CUDA's own word: torch reports every wait of the host while the steps run."""
    mark = stepper.Stepper.mark
    monkeypatch.setattr(lagging.Lagging, "push", lambda *_: None)
    model = on_gpu("llama")
    for own in STRATEGIES.values():
        engine = Engine()
        texts(model, prompts, own, engine)  # graphs are there now

        def watched(self):
            mark(self)
            torch.cuda.set_sync_debug_mode("error" if len(self._clock) < 12 else "default")

        with monkeypatch.context() as patch:
            patch.setattr(stepper.Stepper, "mark", watched)
            try:
                texts(model, prompts, own, engine)
            finally:
                torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@GPU
def test_compiled_steps_are_captured_as_well(on_gpu, prompts):
    model, timings = on_gpu("llama"), []
    engine = Engine(torch_compile=True)
    for _ in range(2):
        found = texts(model, prompts, {}, engine, timings=timings)
    assert [one.ids for one in found] == [one.ids for one in texts(model, prompts, {}, Engine("dynamic"))]
    assert {(one.step, one.step_reason) for one in timings} == {("compiled_cuda_graph", "")}
