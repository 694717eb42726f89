import pytest
import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding import search
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.generations import FinishedBatches
from papergen.ml.decoding.scoring import score_continuations
from papergen.ml.decoding.speed import BatchTiming, summarise
from papergen.ml.decoding.stepper import Stepper
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.tree import TreeStepper

STRATEGIES = {
    "greedy": {},
    "multinomial": {"do_sample": True, "num_return_sequences": 3},
    "nucleus": {"do_sample": True, "top_p": 0.9, "temperature": 0.8, "repetition_penalty": 1.3},
    "top_k": {"do_sample": True, "top_k": 10, "no_repeat_ngram_size": 2, "num_return_sequences": 2},
    "min_p": {"do_sample": True, "min_p": 0.05},
    "typical": {"do_sample": True, "typical_p": 0.9},
    "eta": {"do_sample": True, "eta_cutoff": 0.01, "epsilon_cutoff": 0.001},
    "beam": {"num_beams": 4, "num_return_sequences": 2},
    "beam_sample": {"num_beams": 3, "do_sample": True, "top_k": 20},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "num_return_sequences": 4},
    "constrained": {"num_beams": 4, "force_words_ids": [[17, 18], [[21], [30, 31]]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": "low", "do_sample": True},
    "lookup": {"prompt_lookup_num_tokens": 3},
}


def run(model, prompts, parameters, *, batch_size, seed=5, limit=16):
    strategy = Strategy.model_validate({"max_new_tokens": limit, **parameters})
    return generate(model, None, prompts, strategy, seed=seed, batch_size=batch_size)


def by_prompt(found, prompts):
    return {(tuple(prompts[one.prompt_index]), one.sample_index): one.ids for one in found}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_text_depends_on_prompt_seed_and_sample_alone(name, llama, prompts):
    whole = by_prompt(run(llama, prompts, STRATEGIES[name], batch_size=6), prompts)
    for batch_size, part in ((1, prompts), (4, prompts[::-1]), (2, prompts[1:4]), (5, [prompts[2], *prompts])):
        other = by_prompt(run(llama, part, STRATEGIES[name], batch_size=batch_size), part)
        assert {key: whole[key] for key in other} == other


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "dola"])
def test_encoder_decoder_texts_do_not_depend_on_the_batch_either(name, bart, t5, prompts):
    for model in (bart, t5):
        whole = by_prompt(run(model, prompts, STRATEGIES[name], batch_size=6), prompts)
        assert by_prompt(run(model, prompts, STRATEGIES[name], batch_size=1), prompts) == whole


EARLY = {
    "beam": {"num_beams": 2, "num_return_sequences": 2},
    "beam_sample": {"num_beams": 3, "do_sample": True, "top_k": 20},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "num_return_sequences": 4},
    "constrained": {"num_beams": 2, "force_words_ids": [[17]], "eos_token_id": [*range(3, 17), *range(18, 49)]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
}


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
@pytest.mark.parametrize("name", EARLY)
def test_prompts_that_are_done_leave_a_search(name, kind, request, prompts, monkeypatch):
    model = request.getfixturevalue(kind)
    often = {
        "eos_token_id": list(range(3, 30)),
        "max_new_tokens": 24,
        "early_stopping": name != "contrastive",
        **EARLY[name],
    }
    stepper = TreeStepper if kind == "gpt2" else Stepper
    keep, left = stepper.keep_prompts, []
    monkeypatch.setattr(stepper, "keep_prompts", lambda *given: (left.append(given), keep(*given)))
    found = run(model, prompts, often, batch_size=6)
    assert left
    left.clear()
    monkeypatch.setattr(search, "OPEN_SHARE", -1.0)
    whole = run(model, prompts, often, batch_size=6)
    assert not left
    assert [one.ids for one in found] == [one.ids for one in whole]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in whole], abs=1e-4)


def test_batches_of_every_size_on_a_trained_model(models, oracle):
    prompts = oracle["prompt_ids"]["trained"]
    parameters = {"do_sample": True, "top_p": 0.95, "num_return_sequences": 2}
    whole = run(models["trained"], prompts, parameters, batch_size=12, limit=40)
    for batch_size in (1, 2, 3, 5, 7, 11):
        again = run(models["trained"], prompts, parameters, batch_size=batch_size, limit=40)
        assert [one.ids for one in again] == [one.ids for one in whole]


def test_the_seed_and_the_sample_index_matter(llama, prompts):
    first = run(llama, prompts, STRATEGIES["multinomial"], batch_size=6, seed=1)
    second = run(llama, prompts, STRATEGIES["multinomial"], batch_size=6, seed=2)
    assert len({one.ids for one in [*first, *second]}) == 36


def test_fewer_samples_are_the_first_of_more(llama, prompts):
    three = by_prompt(run(llama, prompts, STRATEGIES["multinomial"], batch_size=6), prompts)
    one = by_prompt(run(llama, prompts, {"do_sample": True}, batch_size=6), prompts)
    assert one.items() <= three.items()


@pytest.mark.parametrize("name", STRATEGIES)
def test_log_probabilities_are_those_of_teacher_forcing(name, llama, bart, prompts):
    for model in (llama,) if name == "dola" else (llama, bart):
        found = run(model, prompts, STRATEGIES[name], batch_size=4)
        scored = score_continuations(
            model, [prompts[one.prompt_index] for one in found], [one.ids for one in found], batch_size=3
        )
        assert [one.log_prob for one in found] == pytest.approx([score.log_prob for score in scored], abs=1e-4)


@pytest.mark.parametrize("name", ["greedy", "multinomial", "beam", "diverse", "constrained"])
def test_the_cache_changes_nothing(name, llama, t5, prompts):
    for model in (llama, t5):
        kept = run(model, prompts, STRATEGIES[name], batch_size=6)
        without = run(model, prompts, {**STRATEGIES[name], "use_cache": False}, batch_size=6)
        assert [one.ids for one in kept] == [one.ids for one in without]


def test_lengths_with_the_prompt_mean_the_same_for_every_prompt_of_a_batch(models, oracle):
    prompts = oracle["prompt_ids"]["trained"]
    strategy = Strategy(max_length=24, min_length=20)
    found = generate(models["trained"], None, prompts, strategy, seed=0, batch_size=12)
    for prompt, one in zip(prompts, found, strict=True):
        own = Strategy(max_new_tokens=24 - len(prompt), min_new_tokens=20 - len(prompt))
        assert one.ids == generate(models["trained"], None, [prompt], own, seed=0, batch_size=1)[0].ids
        assert 20 <= len(prompt) + len(one.ids) - (one.finish == "eos") <= 24


def test_text_stops_at_the_first_eos_of_several(models, oracle, tokenizer):
    prompts = oracle["prompt_ids"]["trained"]
    found = generate(
        models["trained"], tokenizer, prompts, Strategy(max_new_tokens=30, eos_token_id=[1, 15]), seed=0, batch_size=5
    )
    assert {one.finish for one in found} == {"eos", "length"}
    for one in found:
        ends = [place for place, token in enumerate(one.ids) if token in {1, 15}]
        assert ends == ([len(one.ids) - 1] if one.finish == "eos" else [])
        assert "<|eos|>" not in one.text


def test_disabled_eos_ends_nothing(models, oracle):
    prompts = oracle["prompt_ids"]["trained"]
    found = generate(
        models["trained"], None, prompts, Strategy(max_new_tokens=30, eos_token_id=None), seed=0, batch_size=5
    )
    assert [len(one.ids) for one in found] == [30] * len(prompts)
    assert any(1 in one.ids for one in found)


def test_forced_words_are_in_the_text(models, oracle, tokenizer):
    strategy = Strategy(max_new_tokens=30, num_beams=4, force_words=["exception", ["class", "type"]])
    found = generate(models["trained"], tokenizer, oracle["prompt_ids"]["trained"], strategy, seed=0, batch_size=6)
    assert all("exception" in one.text and ("class" in one.text or "type" in one.text) for one in found)


def test_words_that_cannot_fit_are_reported_and_not_hidden(llama, prompts):
    found = run(llama, prompts, {"num_beams": 3, "force_words_ids": [[17, 18, 19], [20]]}, batch_size=6, limit=3)
    assert [one.is_met for one in found] == [False] * 6


def test_progress_and_timings_count_what_was_returned(llama, prompts):
    seen, timings = [], []
    strategy = Strategy(max_new_tokens=8, num_beams=3, num_return_sequences=2)
    found = generate(
        llama, None, prompts, strategy, seed=0, batch_size=4, progress=lambda *now: seen.append(now), timings=timings
    )
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {(32, 48), (48, 48)} <= set(seen)
    assert {total for _, total in seen} == {48}
    assert [timing.num_prompts for timing in timings] == [4, 2]
    speed = summarise(timings)
    assert speed.num_tokens == sum(len(one.ids) for one in found)
    assert all(0 < one.time_to_first_token_s <= one.duration_s for one in found)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", ["multinomial", "diverse", "constrained", "lookup"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_run_goes_on_with_the_prompts_it_had_not_finished(name, torn, llama, prompts, tmp_path):
    whole = run(llama, prompts, STRATEGIES[name], batch_size=6)
    strategy = Strategy.model_validate({"max_new_tokens": 16, **STRATEGIES[name]})

    def killed(done, total):
        if done >= total / 2:
            raise KilledError

    path = tmp_path / "batches"
    with pytest.raises(KilledError):
        generate(llama, None, prompts, strategy, seed=5, batch_size=2, progress=killed, kept=FinishedBatches(path))
    if torn:
        with next(path.iterdir()).open("ab") as stream:
            stream.write(b'{"generations": [{"prompt_in')
    kept, timings = FinishedBatches(path), []
    assert 0 < len(kept.generations) < len(prompts)
    again = generate(llama, None, prompts, strategy, seed=5, batch_size=4, kept=kept, timings=timings)
    assert [(one.ids, one.sample_index) for one in again] == [(one.ids, one.sample_index) for one in whole]
    assert summarise(timings).num_tokens == sum(len(one.ids) for one in whole)
    assert len(FinishedBatches(path).generations) == len(prompts)


def test_latencies_by_hand():
    timings = [
        BatchTiming(num_prompts=2, num_tokens=6, start_s=10.0, token_s=(11.0, 11.5, 13.0), end_s=13.0),
        BatchTiming(num_prompts=1, num_tokens=1, start_s=20.0, token_s=(23.0,), end_s=24.0),
    ]
    speed = summarise(timings)
    assert (speed.time_to_first_token_s, speed.tokens_per_s, speed.duration_s) == (2.0, 1.0, 7.0)
    assert (speed.inter_token_latency_p50_s, speed.inter_token_latency_p95_s) == (1.0, pytest.approx(1.45))


def test_ranks_work_at_once_and_attempts_one_after_the_other():
    def timing(attempt, rank, duration, num_tokens):
        return BatchTiming(
            num_prompts=1,
            num_tokens=num_tokens,
            start_s=0.0,
            token_s=(0.5,),
            end_s=duration,
            attempt=attempt,
            rank=rank,
        )

    # Two ranks that took 3 and 4 s, and after a kill one that took 2 s.
    speed = summarise([timing(0, 0, 1.0, 10), timing(0, 1, 4.0, 30), timing(0, 0, 2.0, 10), timing(1, 0, 2.0, 10)])
    assert (speed.duration_s, speed.num_tokens, speed.tokens_per_s) == (6.0, 60, 10.0)


WRONG = {
    "an empty prompt": ([[]], {}, "Prompt 0 has no tokens"),
    "beyond the positions": ([[3] * 60], {}, "exceed the model's 64 positions"),
    "a prompt longer than max_length": ([[3] * 20], {"max_new_tokens": None, "max_length": 20}, "no room"),
    "a token too high": ([[3]], {"suppress_tokens": [61]}, "token 61 is outside the model's vocabulary of 61"),
    "padding as a remedy": ([[3]], {"pad_token_id": 1}, "is the model's EOS"),
    "the model's EOS as a bad word": ([[3]], {"bad_words_ids": [[1]]}, "Try suppress_tokens: [eos]"),
    "EOS forced": ([[3]], {"num_beams": 2, "force_words_ids": [[5, 1]]}, "contains EOS"),
    "more than there may be": (
        [[3] * 4],
        {"max_new_tokens": None, "max_length": 8, "min_new_tokens": 5},
        "min_new_tokens = 5 asks for 5 new ones where 4 may be",
    ),
    "a length that is there": ([[3] * 4, [5] * 6], {"min_length": 4}, "min_length = 4 is reached by every prompt"),
    "forced and a bad word": (
        [[3]],
        {"num_beams": 2, "force_words_ids": [[5, 6, 7]], "bad_words_ids": [[6, 7]]},
        "contains [6, 7] of bad_words_ids",
    ),
    "forced and forbidden": (
        [[3]],
        {"num_beams": 2, "force_words_ids": [[5]], "suppress_tokens": [5]},
        "contains a token of suppress_tokens",
    ),
    "words without a tokenizer": ([[3]], {"num_beams": 2, "force_words": ["cat"]}, "needs a tokenizer"),
    "a layer too high": ([[3]], {"dola_layers": [4]}, "layers 0 to 3"),
}


@pytest.mark.parametrize(("texts", "changes", "reason"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_the_model_is_refused(texts, changes, reason, llama):
    strategy = Strategy.model_validate({"max_new_tokens": 10, **changes})
    with pytest.raises(PapergenError, match=None) as caught:
        generate(llama, None, texts, strategy, seed=0, batch_size=2)
    assert reason in str(caught.value)


def test_every_filter_keeps_its_promise(llama):
    """With a filter that leaves only the likeliest token, sampling is greedy decoding."""
    prompt = [[5, 9, 33]]
    greedy = run(llama, prompt, {}, batch_size=1)[0].ids
    for filters in ({"top_p": 1e-6}, {"min_p": 0.999999}, {"temperature": 1e-4}):
        assert run(llama, prompt, {"do_sample": True, **filters}, batch_size=1)[0].ids == greedy


def test_the_models_own_defaults_decide_nothing(llama, prompts):
    before = run(llama, prompts, {}, batch_size=6)
    own = llama.generation_config
    own.update(num_beams=3, do_sample=True, temperature=0.3, top_k=50, repetition_penalty=1.7)
    try:
        assert [one.ids for one in run(llama, prompts, {}, batch_size=6)] == [one.ids for one in before]
    finally:
        own.update(num_beams=1, do_sample=False, temperature=1.0, repetition_penalty=1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["greedy", "beam", "diverse", "constrained"])
def test_cuda_gives_the_same_texts(name, llama, prompts):
    on_cpu = run(llama, prompts, STRATEGIES[name], batch_size=6)
    try:
        on_cuda = run(llama.to("cuda"), prompts, STRATEGIES[name], batch_size=6)
    finally:
        llama.to("cpu")
    assert [one.ids for one in on_cuda] == [one.ids for one in on_cpu]


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("batch_size", [1, 6])
def test_lengths_of_an_encoder_decoder_model_are_the_same_for_every_prompt(name, batch_size, prompts, request):
    """Its lengths count the decoder's tokens, the start token among them, whatever the prompt and its padding."""
    model = request.getfixturevalue(name)
    biased = {"max_length": 11, "min_length": 6, "sequence_bias": {"eos": 1000.0}}
    found = generate(model, None, prompts, Strategy(**biased), seed=0, batch_size=batch_size)
    assert [(len(one.ids), one.finish) for one in found] == [(6, "eos")] * 6, "EOS is the sixth token after the start"
    endless = Strategy(max_length=11, suppress_tokens=["eos"])
    found = generate(model, None, prompts, endless, seed=0, batch_size=batch_size)
    assert [(len(one.ids), one.finish) for one in found] == [(10, "length")] * 6
