import subprocess
import sys

import pytest
from pydantic import ValidationError

from papergen.ml.decoding.describing import describe
from papergen.ml.decoding.settings import DecodingSettings
from papergen.ml.decoding.strategy import Strategy

REFUSED = {
    "greedy with temperature": ({"temperature": 0.7}, "temperature = 0.7 without do_sample changes nothing"),
    "greedy with top_p": ({"top_p": 0.9, "top_k": 5}, "top_k = 5, top_p = 0.9 without do_sample"),
    "one token to draw among": ({"do_sample": True, "top_k": 1}, "top_k = 1 draws among one token"),
    "zero temperature": ({"do_sample": True, "temperature": 0.0}, "greater than 0"),
    "indivisible groups": (
        {"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 0.5},
        "num_beam_groups = 3 does not divide num_beams = 4. Try 2 or 4.",
    ),
    "groups without penalty": ({"num_beams": 4, "num_beam_groups": 2}, "diversity_penalty = 0 runs the same search"),
    "penalty without groups": ({"num_beams": 4, "diversity_penalty": 0.5}, "acts between groups"),
    "groups that draw": (
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "do_sample": True},
        "no known algorithm",
    ),
    "length penalty without beams": ({"length_penalty": 2.0}, "length_penalty = 2.0 ranks hypotheses"),
    "early stopping without beams": ({"early_stopping": True}, "early_stopping = True ranks hypotheses"),
    "copies of greedy": ({"num_return_sequences": 3}, "would return 3 copies"),
    "more returns than beams": ({"num_beams": 2, "num_return_sequences": 3}, "more than the num_beams = 2"),
    "forced words without beams": ({"force_words": ["cat"]}, "need a beam search"),
    "forced words that draw": ({"force_words": ["cat"], "num_beams": 4, "do_sample": True}, "no known algorithm"),
    "an empty forced word": ({"force_words": [""], "num_beams": 4}, "empty word"),
    "an empty choice": ({"force_words_ids": [[]], "num_beams": 4}, "empty word, phrase or choice"),
    "a constraint twice": ({"force_words": ["a", "a"], "num_beams": 4}, "the same constraint twice"),
    "contrastive without candidates": ({"penalty_alpha": 0.6}, "top_k = 0 leaves contrastive search no choice"),
    "contrastive that draws": ({"penalty_alpha": 0.6, "top_k": 4, "do_sample": True}, "do_sample = true has no place"),
    "contrastive with beams": ({"penalty_alpha": 0.6, "top_k": 4, "num_beams": 4}, "different algorithms"),
    "no layers": ({"dola_layers": []}, "names no layer"),
    "two drafters": ({"prompt_lookup_num_tokens": 4, "assistant_model": "m"}, "different algorithms"),
    "a drafter without cache": ({"prompt_lookup_num_tokens": 4, "use_cache": False}, "works on the cache"),
    "a drafter's parameter without it": ({"num_assistant_tokens": 7}, "without assistant_model changes nothing"),
    "n-grams without a lookup": ({"max_matching_ngram_size": 3}, "without prompt_lookup_num_tokens changes nothing"),
    "two limits": ({"max_length": 30}, "max_length = 30 is a second limit beside max_new_tokens = 20"),
    "least above most": ({"min_new_tokens": 40}, "min_new_tokens = 40 is above max_new_tokens = 20"),
    "EOS as a bad word": ({"bad_words_ids": [["eos"]]}, "bad_words_ids with EOS does nothing"),
    "EOS as a bad word by number": ({"eos_token_id": 7, "bad_words_ids": [[7]]}, "bad_words_ids with EOS does nothing"),
    "padding as a remedy": ({"eos_token_id": 7, "pad_token_id": 7}, "padding is masked"),
    "no EOS to delay": ({"eos_token_id": None, "min_new_tokens": 5}, "eos_token_id = null leaves none"),
    "no EOS to bias": ({"eos_token_id": None, "logit_bias": {"eos": -5}}, "eos_token_id = null leaves none"),
    "EOS suppressed and delayed": (
        {"suppress_tokens": ["eos"], "min_new_tokens": 5},
        "min_new_tokens acts on EOS, and suppress_tokens: [eos] never lets it come",
    ),
    "ranking what is equally long": (
        {"num_beams": 2, "eos_token_id": None, "length_penalty": 2.0},
        "length_penalty is about texts that end, and eos_token_id = null leaves none",
    ),
    "stopping early without ends": (
        {"num_beams": 2, "suppress_tokens": ["eos"], "early_stopping": True},
        "early_stopping is about texts that end",
    ),
    "a decay that begins too late": ({"exponential_decay_length_penalty": [20, 1.1]}, "so it changes nothing"),
    "a decay that alternates": ({"exponential_decay_length_penalty": [5, -1.1]}, "the factor is above 0"),
    "nothing suppressed": ({"suppress_tokens": []}, "names no token"),
    "no bad word": ({"bad_words_ids": []}, "names no word"),
    "a bias under both names": ({"logit_bias": {"eos": -5}, "sequence_bias": {"eos": -5}}, "logit_bias"),
    "minus one": ({"eos_token_id": -1}, "Write null to disable EOS"),
    "not a number": ({"do_sample": True, "temperature": float("nan")}, "finite number"),
    "an unknown name": ({"topp": 0.9}, "topp"),
    "a wrong type": ({"num_beams": "4"}, "num_beams"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_means_nothing_is_refused_with_its_reason(changes, reason):
    with pytest.raises(ValidationError) as caught:
        Strategy(max_new_tokens=20, **changes)
    assert reason in str(caught.value)


def test_the_default_limit_gives_way_to_max_length():
    given = DecodingSettings(model="m", max_length=60)
    assert (given.max_new_tokens, given.max_length, given.reference_tokens) == (None, 60, 28)
    again = DecodingSettings.model_validate_json(given.model_dump_json(by_alias=True))
    assert again == given
    with pytest.raises(ValidationError, match="a second limit"):
        DecodingSettings(model="m", max_length=60, max_new_tokens=96)
    with pytest.raises(ValidationError, match=r"min_length = 129 is above the .* = 32 \+ 96 tokens"):
        DecodingSettings(model="m", min_length=129)


def test_a_length_limit_is_asked_for():
    with pytest.raises(ValidationError, match="No length limit"):
        Strategy()


def test_all_faults_are_told_at_once():
    with pytest.raises(ValidationError) as caught:
        Strategy(max_new_tokens=20, temperature=0.5, num_return_sequences=2)
    assert "temperature" in str(caught.value)
    assert "copies" in str(caught.value)


MODES = {
    "greedy": ({}, "greedy decoding", ()),
    "sample": ({"do_sample": True}, "ancestral sampling from the full vocabulary", ()),
    "beam": (
        {"num_beams": 4, "length_penalty": 0.5},
        (
            r"beam search with 4 beams~\cite{graves2012sequence}, "
            r"hypotheses ranked by $\log p / \mathit{length}^{0.5}$"
        ),
        ("graves2012sequence",),
    ),
    "beam_sample": (
        {"num_beams": 4, "do_sample": True},
        "beam search with 4 beams whose continuations are drawn without replacement",
        (),
    ),
    "diverse": (
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        r"diverse beam search with 4 beams in 2 groups and diversity penalty $0.5$~\cite{vijayakumar2018diverse}",
        ("vijayakumar2018diverse",),
    ),
    "constrained": (
        {"num_beams": 4, "force_words": ["a_b", ["c", "50% d"]]},
        (
            r"lexically constrained beam search with 4 beams and dynamic beam allocation"
            r"~\cite{hokamp2017lexically,post2018fast} that must contain ``a\_b'' and ``c'' or ``50\% d''"
        ),
        ("hokamp2017lexically", "post2018fast"),
    ),
    "contrastive": (
        {"penalty_alpha": 0.6, "top_k": 4},
        r"contrastive search with $k=4$ and $\alpha=0.6$~\cite{su2022contrastive}",
        ("su2022contrastive",),
    ),
    "dola": (
        {"dola_layers": "low", "repetition_penalty": 1.2},
        (
            r"greedy decoding with contrasted layers (DoLa, low layers)~\cite{chuang2024dola}, "
            r"repetition penalty $1.2$~\cite{keskar2019ctrl}"
        ),
        ("chuang2024dola",),
    ),
    "assisted": (
        {"assistant_model": "org/tiny_lm"},
        (
            r"greedy speculative decoding with drafts of up to 5 tokens by \texttt{tiny\_lm}"
            r"~\cite{leviathan2023fast,chen2023accelerating}"
        ),
        ("leviathan2023fast", "chen2023accelerating"),
    ),
    "prompt_lookup": (
        {"prompt_lookup_num_tokens": 10},
        (
            "greedy speculative decoding with drafts of up to 10 tokens looked up in the text so far"
            r"~\cite{saxena2023prompt}"
        ),
        ("saxena2023prompt",),
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_names_and_describes_itself(mode):
    parameters, sentence, citations = MODES[mode]
    strategy = Strategy(max_new_tokens=20, **parameters)
    assert (strategy.algorithm.name, describe(strategy)) == (mode, sentence)
    assert strategy.algorithm.citations == citations


def test_sampling_is_described_by_its_filters():
    phrase = lambda **own: describe(Strategy(max_new_tokens=20, do_sample=True, **own))  # noqa: E731
    assert phrase(top_p=0.95) == r"nucleus sampling with $p=0.95$~\cite{holtzman2020curious}"
    assert phrase(eta_cutoff=3e-5) == r"$\eta$ sampling with $\eta=3\cdot 10^{-5}$~\cite{hewitt2022truncation}"
    assert phrase(top_k=40, temperature=0.7) == (
        r"top-$k$ sampling with $k=40$~\cite{fan2018hierarchical}, temperature $0.7$~\cite{ackley1985learning}"
    )
    assert phrase(top_k=40, top_p=0.9) == (
        r"sampling, top-$k$ truncation with $k=40$~\cite{fan2018hierarchical}, "
        r"nucleus truncation with $p=0.9$~\cite{holtzman2020curious}"
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_strategy_survives_json(mode):
    strategy = Strategy(max_new_tokens=20, **MODES[mode][0])
    assert Strategy.model_validate(strategy.model_dump(mode="json")) == strategy
    assert Strategy.model_validate_json(strategy.model_dump_json()) == strategy


def test_logit_bias_is_sequence_bias_in_both_spellings():
    wanted = ((("eos",), -5.0), ((7,), 1.5))
    assert Strategy(max_new_tokens=20, logit_bias={"eos": -5, 7: 1.5}).sequence_bias == wanted
    assert Strategy(max_new_tokens=20, sequence_bias=[[["eos"], -5], [[7], 1.5]]).sequence_bias == wanted


def test_disabled_and_unset_eos_are_not_the_same():
    unset, disabled = Strategy(max_new_tokens=9), Strategy(max_new_tokens=9, eos_token_id=None)
    assert unset.model_dump(mode="json") != disabled.model_dump(mode="json")


def test_sampling_is_true_sampling_by_default():
    assert Strategy(max_new_tokens=9, do_sample=True).top_k == 0


def test_determinism_is_known():
    assert Strategy(max_new_tokens=9, num_beams=4).is_deterministic
    assert not Strategy(max_new_tokens=9, num_beams=4, do_sample=True).is_deterministic


def test_every_parameter_has_a_sentence():
    assert all(field.description for field in Strategy.model_fields.values())


@pytest.mark.parametrize("module", ["settings", "early_eos", "metrics", "self_bleu"])
def test_planning_does_not_import_torch(module):
    code = f"import sys, papergen.ml.decoding.{module}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
