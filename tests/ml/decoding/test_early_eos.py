import re

import pytest
from pydantic import ValidationError

from papergen.config import read_experiments
from papergen.experiment.plan import plan_trials
from papergen.experiment.registry import load_kinds
from papergen.ml.decoding.early_eos import end_counts, refused, remedies, strategy_with
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.ineffective_remedies import try_remedy
from papergen.ml.decoding.measure import Continuation
from papergen.ml.decoding.strategy import Strategy
from papergen.paper.scaffold import scaffold


def test_every_remedy_is_a_valid_strategy_and_lengthens_the_texts(models, oracle):
    prompts = [prompt for prompt in oracle["prompt_ids"]["trained"] if len(prompt) == 3]
    for base in (Strategy(max_new_tokens=30), Strategy(max_new_tokens=30, num_beams=4)):
        lengths = {}
        for name, remedy in remedies(base, min_new_tokens=20, prompt_tokens=3).items():
            found = generate(
                models["trained"], None, prompts, strategy_with(base, remedy.changes), seed=0, batch_size=9
            )
            lengths[name] = [len(one.ids) for one in found]
        assert ("length_penalty" in lengths) is base.is_search
        assert lengths["min_new_tokens"] == lengths["min_length"]
        assert min(lengths["min_new_tokens"]) >= 20
        assert lengths["suppress_tokens"] == lengths["eos_disabled"] == [30] * len(prompts)
        total = {name: sum(values) for name, values in lengths.items()}
        assert all(total[name] >= total["none"] for name in lengths)
        assert total["sequence_bias"] > total["none"]


def test_remedies_that_do_nothing_say_why():
    reasons = {one.name: one.reason for one in refused(Strategy(max_new_tokens=30), eos_token_id=1)}
    assert set(reasons) == {"pad_token_id", "bad_words_ids", "length_penalty"}
    assert "padding is masked" in reasons["pad_token_id"]
    assert "suppress_tokens" in reasons["bad_words_ids"]
    assert "num_beams = 1" in reasons["length_penalty"]


@pytest.mark.parametrize("own", [{"num_beams": 4}, {"do_sample": True, "top_p": 0.9}], ids=str)
def test_changes_keep_the_base(own):
    base = Strategy(max_new_tokens=30, **own)
    changed = strategy_with(base, {"min_new_tokens": 5})
    assert changed.model_dump() == {**base.model_dump(), "min_new_tokens": 5}


def test_ends_are_counted_per_prompt():
    texts = [
        Continuation(prompt_index=0, ids=(5, 6), is_ended=True),
        Continuation(prompt_index=0, ids=(5, 6, 7, 8), is_ended=True),
        Continuation(prompt_index=1, ids=(5, 1, 1), is_ended=False),
    ]
    assert end_counts(texts, [1], early_tokens=3) == {"early_rate": [50.0, 0.0], "inner_eos": [0.0, 2.0]}


@pytest.mark.parametrize("remedy", ["pad_token_id", "bad_words_ids", "length_penalty"])
def test_remedies_that_are_refused_change_no_text_of_transformers(remedy, models, oracle):
    prompts = oracle["prompt_ids"]["trained"]
    tried = try_remedy(models["trained"], prompts, remedy, eos=[1], pad=0, max_new_tokens=30, batch_size=5)
    assert tried.changed == [False] * len(prompts)
    plain = generate(models["trained"], None, prompts, Strategy(max_new_tokens=30), seed=0, batch_size=4)
    assert tried.without == [one.ids for one in plain]
    assert any(ids[-1] == 1 for ids in tried.without), "no text ends, so this shows nothing"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"idle_remedy": "pad_token_id", "min_new_tokens": 5}, "nothing else"),
        ({"idle_remedy": "length_penalty", "prompt_suffix": ":"}, "nothing else"),
        ({"idle_remedy": "bad_words_ids", "num_beams": 4}, "nothing else"),
        ({"reference": True, "prompt_prefix": "In detail: "}, "no wording changes"),
        ({"reference": True, "do_sample": True}, "generates nothing"),
        ({"early_tokens": 97}, "above the 96 tokens"),
        ({"early_tokens": 40, "max_length": 40}, "above the 39 tokens"),
        ({"length_penalty": 2.0}, "num_beams = 1 has one"),
        ({"bad_words_ids": [["eos"]]}, "bad_words_ids with EOS does nothing"),
    ],
    ids=str,
)
def test_rows_that_mean_nothing_are_refused(changes, reason):
    params = load_kinds(None)["early_eos"].params
    with pytest.raises(ValidationError) as caught:
        params.model_validate({"model": "m", **changes})
    assert reason in str(caught.value)


def test_an_encoder_decoder_model_has_no_prompt_in_its_max_length():
    params = load_kinds(None)["early_eos"].params
    rows = params.model_validate({"model": "m", "early_tokens": 39, "max_length": 40, "prompt_tokens": 8})
    assert rows.too_early(40 - 1) is None
    assert rows.too_early(40 - 8) == "early_tokens = 39 is above the 32 tokens there may be. Try 32."


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_scaffolded_experiment_plans_and_its_prose_names_its_rows(language, tmp_path):
    project = scaffold(tmp_path / "论文 one", language=language, experiments=["early_eos"])
    configs = read_experiments(project)
    trials = plan_trials(project, configs, load_kinds(project))
    rows = {trial.key for trial in trials}
    text = "".join(path.read_text() for path in (project / "sections").iterdir())
    keys = re.findall(r"\\result(?:\[[^\]]*\])?\{(early_eos/[^{}]*)\}", text)
    assert keys
    assert {key.rpartition("/")[0] for key in keys} <= rows
    labels = set(re.findall(r"\\label\{([^}]*)\}", text))
    assert set(re.findall(r"\\autoref\{([^}]*)\}", text)) <= labels
    assert not re.search(r"\\(?:label|autoref|input)\{[^}]*_[^}]*\}", text.replace("early_eos/", ""))
