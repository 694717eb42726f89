import sys

import numpy as np
import pytest
import torch

from papergen.core.errors import MachineError, PapergenError
from papergen.ml.decoding.mauve import mauve_score, text_features
from papergen.ml.decoding.speed import PeakMemory, peak_resident_mib


def test_peak_memory_sees_what_was_freed_again():
    with PeakMemory("cpu") as memory:
        block = np.ones(int(peak_resident_mib() + 64) * 2**17)  # MiB of float64, more than the peak so far
        del block
    assert memory.mib >= memory.resident_mib
    assert memory.mib == pytest.approx(peak_resident_mib(), rel=0.05)
    assert memory.mib > 128


def test_features_do_not_depend_on_padding(llama, prompts):
    whole = text_features(llama, prompts, batch_size=6)
    alone = np.concatenate([text_features(llama, [prompt], batch_size=1) for prompt in prompts])
    assert whole.shape == (6, 32)
    assert whole == pytest.approx(alone, abs=1e-4)
    with torch.no_grad():
        states = llama(torch.tensor([prompts[2]]), output_hidden_states=True).hidden_states[-1][0, -1]
    assert whole[2] == pytest.approx(states.numpy(), abs=1e-4)


def test_features_of_nothing_are_refused(llama, t5):
    with pytest.raises(PapergenError, match="without tokens"):
        text_features(llama, [[4], []], batch_size=2)
    with pytest.raises(PapergenError, match="decoder-only"):
        text_features(t5, [[4]], batch_size=1)


def test_mauve_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mauve", None)
    features = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(MachineError, match="mauve-text") as caught:
        mauve_score(features, features, seed=0)
    assert "pip install" in str(caught.value)


def test_mauve_of_a_set_with_itself_is_one():
    features = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    assert mauve_score(features, features, seed=0) == pytest.approx(1.0, abs=0.02)
