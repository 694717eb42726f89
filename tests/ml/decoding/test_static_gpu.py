"""CUDA graphs of steps, on a GPU."""

import pytest
import torch
from static_cases import STRATEGIES, assert_same, made, texts

from papergen.ml.decoding import device_reads, stepper
from papergen.ml.decoding.engine import Engine

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
    monkeypatch.setattr(device_reads.DelayedRead, "push", lambda *_: None)
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
