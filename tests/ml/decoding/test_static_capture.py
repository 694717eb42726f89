"""Steps of a static cache can be CUDA graphs: what that asks of them, checked without CUDA."""

import copy
from types import SimpleNamespace

import pytest
import torch
from static_cases import OTHERS, STRATEGIES, WITH_DOLA_FOR_DECODERS, assert_same, made, texts
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import DynamicCache

from papergen.ml.decoding import buffers, device_reads, graphs, processors, stepper
from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.processors import LengthLimits, Processors
from papergen.ml.decoding.search import Batch
from papergen.ml.decoding.static_sampling import _Texts
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.tokens import tokens_for


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


@pytest.mark.parametrize(("name", "own"), WITH_DOLA_FOR_DECODERS, ids=str)
def test_after_the_prompts_no_step_of_any_search_makes_the_host_wait(own, name, request, prompts, monkeypatch):
    model = request.getfixturevalue(name)
    mode, mark = NoWaiting(), stepper.Stepper.mark
    num_marks = []

    def watched(self):
        mark(self)
        num_marks.append(1)
        if len(num_marks) == 1:  # what a search makes of numbers, once per batch, is there now
            mode.__enter__()

    monkeypatch.setattr(stepper.Stepper, "mark", watched)
    monkeypatch.setattr(device_reads.DelayedRead, "push", lambda *_: None)  # which waits, for what is old
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
    tokens, limits = tokens_for(strategy, model, None), LengthLimits(8, 4)
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
