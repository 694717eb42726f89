"""The searches against plain reference implementations, also for encoder-decoder models."""

import itertools
import math
import warnings

import pytest
import torch

from papergen.ml.decoding.algorithms.dola import contrast_layers
from papergen.ml.decoding.constraints import Constraints
from papergen.ml.decoding.dola import contrasted
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.legacy_allocation import LegacyAllocation
from papergen.ml.decoding.strategy import Strategy


def log_probs(model, prompt, new):
    """The model's next-token log-probabilities after `new`, by a full forward pass without cache."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = model.config.decoder_start_token_id
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start, *new]])).logits
        else:
            logits = model(torch.tensor([[*prompt, *new]])).logits
    return logits[0, -1].double().log_softmax(0)


def diverse_by_hand(model, prompt, *, num_groups, size, penalty, limit, eos):
    """Diverse beam search of one prompt in plain Python, without early stopping and length penalty 0."""
    running = [[(0.0, ())] for _ in range(num_groups)]
    finished = [[] for _ in range(num_groups)]
    for _ in range(limit):
        chosen = []
        for group in range(num_groups):
            candidates = []
            for total, new in running[group]:
                scores = log_probs(model, prompt, new)
                for token in chosen:
                    scores[token] -= penalty
                candidates += [(total + float(score), (*new, token)) for token, score in enumerate(scores)]
            candidates.sort(key=lambda one: -one[0])
            candidates = candidates[: 2 * size]
            finished[group] += [one for one in candidates[:size] if one[1][-1] == eos]
            running[group] = [one for one in candidates if one[1][-1] != eos][:size]
            chosen += [new[-1] for _, new in running[group]]
    best = [sorted(done + open_, reverse=True)[:size] for done, open_ in zip(finished, running, strict=True)]
    return sorted(itertools.chain(*best), reverse=True)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
def test_diverse_search_is_the_algorithm_of_the_paper(name, request, prompts):
    model = request.getfixturevalue(name)
    strategy = Strategy(
        max_new_tokens=5,
        num_beams=4,
        num_beam_groups=2,
        diversity_penalty=0.7,
        num_return_sequences=4,
        length_penalty=0.0,
        early_stopping="never",
    )
    found = generate(model, None, prompts, strategy, seed=0, batch_size=6)
    for index, prompt in enumerate(prompts):
        wanted = diverse_by_hand(model, prompt, num_groups=2, size=2, penalty=0.7, limit=5, eos=1)
        own = found[4 * index : 4 * index + 4]
        assert [one.score for one in own] == pytest.approx([score for score, _ in wanted], abs=1e-4)
        assert [one.ids for one in own] == [ids for _, ids in wanted]


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
def test_beam_search_is_that_of_transformers(name, request, prompts):
    model = request.getfixturevalue(name)
    for own in (
        {},
        {"length_penalty": 2.0},
        {"early_stopping": True},
        {"repetition_penalty": 1.5, "min_new_tokens": 4},
    ):
        strategy = Strategy(max_new_tokens=8, num_beams=4, num_return_sequences=3, **own)
        found = generate(model, None, prompts, strategy, seed=0, batch_size=6)
        for index, prompt in enumerate(prompts):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = model.generate(
                    torch.tensor([prompt]),
                    attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                    max_new_tokens=8,
                    num_beams=4,
                    num_return_sequences=3,
                    output_scores=True,
                    return_dict_in_generate=True,
                    **own,
                )
            start = 1 if model.config.is_encoder_decoder else len(prompt)
            for one, ids, score in zip(
                found[3 * index : 3 * index + 3],
                theirs.sequences.tolist(),
                theirs.sequences_scores.tolist(),
                strict=True,
            ):
                assert list(one.ids) == ids[start:][: len(one.ids)]
                assert one.score == pytest.approx(score, abs=2e-4)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
def test_an_exhaustive_constrained_search_finds_the_best_text_there_is(name, request):
    model, prompt, limit = request.getfixturevalue(name), [7, 8, 9], 3
    forced = [[17], [[21], [30, 31]]]
    strategy = Strategy(max_new_tokens=limit, num_beams=400, force_words_ids=forced, num_return_sequences=5)
    found = generate(model, None, [prompt], strategy, seed=0, batch_size=1)
    texts = [(17, 21, token) for token in range(61)]
    texts += [(21, 17, token) for token in range(61)]
    texts += [(17, token, 21) for token in range(61)] + [(21, token, 17) for token in range(61)]
    texts += [(token, *pair) for token in range(61) for pair in ((17, 21), (21, 17))]
    texts += [(17, 30, 31), (30, 31, 17)]
    texts = {text[: text.index(1) + 1] if 1 in text else text for text in texts}
    scores = {}
    for text in texts:
        if {17, 21} <= set(text) or (17 in text and (30, 31) in itertools.pairwise(text)):
            total = sum(float(log_probs(model, prompt, text[:place])[token]) for place, token in enumerate(text))
            scores[text] = total / len(text)
    best = sorted(scores, key=scores.get, reverse=True)[:5]
    assert [one.ids for one in found] == best
    assert [one.score for one in found] == pytest.approx([scores[text] for text in best], abs=1e-4)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
@pytest.mark.parametrize(
    "forced",
    [[[17]], [[17, 18, 19]], [[17, 18], [21]], [[[17], [21, 22]], [30]], [[5, 5, 6], [5, 6]], [[17], [18], [19], [20]]],
    ids=str,
)
def test_every_prompt_gets_its_words_however_unlikely(name, forced, request, prompts):
    model = request.getfixturevalue(name)
    for limit in (sum(len(item) for item in forced), 12):
        strategy = Strategy(max_new_tokens=limit, num_beams=5, force_words_ids=forced, num_return_sequences=2)
        found = generate(model, None, prompts, strategy, seed=0, batch_size=6)
        tight = limit < 12
        for index in range(len(prompts)):
            first, second = found[2 * index : 2 * index + 2]
            assert first.is_met
            assert tight or second.is_met
            assert first.ids != second.ids


def test_words_of_the_prompt_do_not_count(llama):
    strategy = Strategy(max_new_tokens=6, num_beams=4, force_words_ids=[[17, 18]])
    one = generate(llama, None, [[17, 18]], strategy, seed=0, batch_size=1)[0]
    assert (17, 18) in itertools.pairwise(one.ids)


def test_constraint_automata_follow_phrases_with_false_starts():
    constraints = Constraints([((1, 1, 2),), ((3,), (1, 4))], 10, torch.device("cpu"))
    progress = constraints.start(1, 1)
    needed = []
    for token in (1, 1, 1, 2, 1, 4):
        progress = constraints.advance(progress, torch.tensor([[token]]))
        needed.append(int(constraints.needed(progress)))
    # Three 1s still end in the phrase's first two; `1 4` meets the second constraint, of which 3 alone is shorter.
    assert needed == [3, 2, 2, 1, 1, 0]
    assert progress.is_met.all()


def contrastive_by_hand(model, prompt, *, alpha, k, limit, eos):
    new = []
    for _ in range(limit):
        probabilities, tokens = log_probs(model, prompt, new).exp().topk(k)
        values = []
        for probability, token in zip(probabilities.tolist(), tokens.tolist(), strict=True):
            with torch.no_grad():
                if model.config.is_encoder_decoder:
                    decoder = torch.tensor([[model.config.decoder_start_token_id, *new, token]])
                    outputs = model(torch.tensor([prompt]), decoder_input_ids=decoder, output_hidden_states=True)
                    states = outputs.decoder_hidden_states[-1][0]
                else:
                    ids = torch.tensor([[*prompt, *new, token]])
                    states = model(ids, output_hidden_states=True).hidden_states[-1][0]
            states = torch.nn.functional.normalize(states, dim=1)
            values.append((1 - alpha) * probability - alpha * float((states[:-1] @ states[-1]).max()))
        new.append(tokens.tolist()[max(range(k), key=values.__getitem__)])
        if new[-1] == eos:
            break
    return tuple(new)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
def test_contrastive_search_is_the_algorithm_of_the_paper(name, request, prompts):
    model = request.getfixturevalue(name)
    strategy = Strategy(max_new_tokens=6, penalty_alpha=0.6, top_k=4)
    found = generate(model, None, prompts, strategy, seed=0, batch_size=6)
    wanted = [contrastive_by_hand(model, prompt, alpha=0.6, k=4, limit=6, eos=1) for prompt in prompts]
    assert [one.ids for one in found] == wanted


def test_dola_contrasts_the_layer_that_differs_most():
    final = torch.tensor([[2.0, 1.0, -9.0], [0.0, 0.0, 0.0]])
    same, other = final.clone(), torch.tensor([[-1.0, 3.0, 0.0], [1.0, 0.0, 0.0]])
    found = contrasted(final, torch.stack([same, other], dim=1))
    wanted = final.log_softmax(1) - other.log_softmax(1)
    assert found[0, :2].tolist() == pytest.approx(wanted[0, :2].tolist())
    assert found[0, 2] == -math.inf  # below a tenth of the likeliest token
    assert found[1].tolist() == pytest.approx(wanted[1].tolist())


def test_dola_layers_have_names(llama, models):
    assert contrast_layers("low", llama) == (0,)
    assert contrast_layers("high", llama) == (2,)
    assert contrast_layers((1, 3), llama) == (1, 3)
    assert contrast_layers("low", models["trained"]) == (1,)  # layer 0 is tied to the output


def test_dola_generates_by_its_scores(llama, prompts):
    found = generate(llama, None, prompts[:1], Strategy(max_new_tokens=4, dola_layers=[1, 2]), seed=0, batch_size=1)[0]
    new = []
    for _ in range(4):
        with torch.no_grad():
            outputs = llama(torch.tensor([[*prompts[0], *new]]), output_hidden_states=True)
        early = torch.stack([llama.lm_head(outputs.hidden_states[layer][:, -1]) for layer in (1, 2)], dim=1)
        new.append(int(contrasted(outputs.logits[:, -1], early).argmax()))
    assert list(found.ids) == new[: len(found.ids)]


@pytest.mark.parametrize(
    "own", [{}, {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2, "min_new_tokens": 9}], ids=str
)
def test_drafts_change_the_speed_and_not_the_text(own, models, oracle, tmp_path):
    prompts = oracle["prompt_ids"]["trained"][:5]
    assistant = str(tmp_path / "assistant")
    models["trained"].save_pretrained(assistant)
    plain = generate(models["trained"], None, prompts, Strategy(max_new_tokens=24, **own), seed=0, batch_size=5)
    for drafts in ({"prompt_lookup_num_tokens": 4}, {"assistant_model": assistant}):
        strategy = Strategy(max_new_tokens=24, **own, **drafts)
        found = generate(models["trained"], None, prompts, strategy, seed=0, batch_size=5)
        assert [one.ids for one in found] == [one.ids for one in plain]
        assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in plain], abs=1e-4)


def test_beam_sampling_draws_in_proportion(llama):
    """With two beams and one step, the first of the two draws is an ordinary one."""
    prompt = [5, 9, 33]
    strategy = Strategy(max_new_tokens=1, num_beams=2, do_sample=True, top_k=3, num_return_sequences=2)
    pairs = [
        {one.ids for one in generate(llama, None, [prompt], strategy, seed=seed, batch_size=1)} for seed in range(300)
    ]
    probabilities, tokens = log_probs(llama, prompt, ()).exp().topk(3)
    p = dict(zip(tokens.tolist(), (probabilities / probabilities.sum()).tolist(), strict=True))
    for a, b in itertools.combinations(p, 2):
        wanted = p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b])
        share = sum(pair == {(a,), (b,)} for pair in pairs) / len(pairs)
        assert share == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / len(pairs)) + 1e-9)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_drafts_change_no_text_of_encoder_decoder_models(name, request, prompts, tmp_path):
    model = request.getfixturevalue(name)
    model.save_pretrained(tmp_path / "assistant")
    plain = generate(model, None, prompts, Strategy(max_new_tokens=12), seed=0, batch_size=6)
    for drafts in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": str(tmp_path / "assistant")}):
        found = generate(model, None, prompts, Strategy(max_new_tokens=12, **drafts), seed=0, batch_size=6)
        assert [one.ids for one in found] == [one.ids for one in plain]


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"length_penalty": 0.0},
        {"length_penalty": -1.0},
        {"num_return_sequences": 2},
        {"length_penalty": 0.0, "exponential_decay_length_penalty": (2, 3.0)},  # raises the score of EOS above 0
    ],
)
@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_the_loose_beam_gives_up_only_where_it_finds_nothing_better(name, own, request, prompts, monkeypatch):
    model = request.getfixturevalue(name)
    eos = [*range(3, 17), *range(19, 49)]
    strategy = Strategy(num_beams=2, force_words_ids=[[17, 18]], eos_token_id=eos, max_new_tokens=24, **own)
    given_up, plain = [], LegacyAllocation.give_up

    def watched(beam, met, step):
        before = beam.is_done
        plain(beam, met, step)
        given_up.append(int((beam.is_done & ~before).sum()))

    monkeypatch.setattr(LegacyAllocation, "give_up", watched)
    found = generate(model, None, prompts, strategy, seed=0, batch_size=6)
    monkeypatch.setattr(LegacyAllocation, "give_up", lambda *_: None)
    whole = generate(model, None, prompts, strategy, seed=0, batch_size=6)
    assert [(one.ids, one.score) for one in found] == [(one.ids, pytest.approx(one.score, abs=1e-5)) for one in whole]
    if own.get("length_penalty", 1.0) <= 0 and "exponential_decay_length_penalty" not in own:
        assert sum(given_up) > len(prompts) / 2
