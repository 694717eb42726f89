import pytest
import torch
from scipy import stats

from papergen.ml.decoding.sampling import draw
from papergen.ml.decoding.stream import row_key, uniforms

MASK = (1 << 64) - 1


def reference(key, step, index):
    """Splitmix64 with Python's integers."""

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    stride = 0x9E3779B97F4A7C15
    start = mix((key + stride * (step + 1)) & MASK)
    return ((mix((start + stride * (index + 1)) & MASK) >> 12) + 0.5) * 2.0**-52


def test_numbers_are_those_of_the_published_generator():
    keys = [row_key(seed, [1, 2, 3], sample) for seed in (0, 1) for sample in (0, 5)]
    found = uniforms(torch.tensor(keys), 7, 3)
    wanted = [[reference(key & MASK, 7, index) for index in range(3)] for key in keys]
    assert found.tolist() == wanted


def test_a_row_does_not_depend_on_its_batch():
    keys = torch.tensor([row_key(0, [prompt], 0) for prompt in range(5)])
    assert torch.equal(uniforms(keys, 3, 4)[2:3], uniforms(keys[2:3], 3, 4))


def test_streams_differ_by_seed_prompt_and_sample():
    keys = {row_key(seed, prompt, sample) for seed in range(9) for prompt in ([1], [1, 1], [2]) for sample in range(9)}
    assert len(keys) == 9 * 3 * 9


@pytest.mark.parametrize("along", ["steps", "rows", "width"])
def test_numbers_are_uniform_and_uncorrelated(along):
    if along == "steps":
        numbers = torch.cat([uniforms(torch.tensor([row_key(0, [1], 0)]), step, 1) for step in range(4000)]).flatten()
    elif along == "rows":
        numbers = uniforms(torch.tensor([row_key(0, [1], sample) for sample in range(4000)]), 0, 1).flatten()
    else:
        numbers = uniforms(torch.tensor([row_key(0, [1], 0)]), 0, 4000).flatten()
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-3
    assert abs(float(torch.corrcoef(torch.stack([numbers[1:], numbers[:-1]]))[0, 1])) < 0.06


def test_a_draw_follows_the_distribution():
    scores = torch.tensor([[0.1, 0.2, 0.0, 0.7]]).log().expand(20000, -1)
    numbers = uniforms(torch.tensor([row_key(3, [1], sample) for sample in range(20000)]), 0, 1)
    counts = draw(scores, numbers).bincount(minlength=4)
    assert counts[2] == 0
    assert stats.chisquare(counts[[0, 1, 3]].numpy(), [2000, 4000, 14000]).pvalue > 1e-3


def test_a_token_of_probability_zero_is_never_drawn_at_the_edges():
    scores = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    for number in (1e-300, 0.5 - 1e-16, 0.5, 1 - 2.0**-53, 1.0):
        assert draw(scores, torch.tensor([[number]], dtype=torch.float64)).item() in {1, 3}


@pytest.mark.parametrize("vocabulary", [1, 100, 128, 129, 640, 1000])
def test_a_draw_inverts_the_cumulative_distribution_at_every_size_of_vocabulary(vocabulary):
    torch.manual_seed(vocabulary)
    scores = torch.randn(64, vocabulary) * 4
    scores[:, torch.rand(vocabulary) < 0.3] = -torch.inf
    scores[:, vocabulary // 2] = 0.0
    reach = scores.double().softmax(dim=1).cumsum(dim=1)
    for numbers in (torch.rand(64, 1, dtype=torch.float64), torch.full((64, 1), 1 - 2.0**-53, dtype=torch.float64)):
        tokens = draw(scores, numbers)
        assert scores.gather(1, tokens[:, None]).isfinite().all()
        ends = reach.gather(1, tokens[:, None])
        starts = ends - scores.double().softmax(dim=1).gather(1, tokens[:, None])
        assert ((starts <= numbers + 1e-6) & (numbers <= ends + 1e-6)).all()
