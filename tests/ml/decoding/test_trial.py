"""What a trial records, from the model's folder to the metrics."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.api import Context
from papergen.ml.decoding.settings import DecodingSettings
from papergen.ml.decoding.trial import Loaded, generated_texts, human_texts, load, record
from papergen.ml.training.corpus import load_corpus, prompts

ORACLE = Path(__file__).parents[2] / "oracle"
MODEL = str(ORACLE / "model_trained")
_generated = generated_texts
FACTS = {}
"""Those of the last trial."""


def trial(tmp_path, **changes):
    """Metrics, units, facts and samples of a trial on the oracle's trained model."""
    events = []
    params = DecodingSettings(model=MODEL, num_prompts=6, prompt_tokens=8, **{"max_new_tokens": 20, **changes})
    ctx = Context(
        trial=SimpleNamespace(seed=0),
        folder=tmp_path,
        scratch=tmp_path,
        project=tmp_path,
        device="cpu",
        rank=0,
        local_rank=0,
        world_size=1,
        num_threads=1,
        upstream={},
        emit=lambda kind, data: events.append((kind, data)),
    )
    loaded = load(params, ctx)
    passages = prompts(
        load_corpus(params, tmp_path),
        loaded.tokenizer,
        count=6,
        prompt_tokens=8,
        reference_tokens=loaded.most_new(params),
    )
    starts = [passage.ids for passage in passages]
    texts = human_texts(passages, loaded.eos) if params.reference else _generated(loaded, starts, params, ctx)
    metrics = record(loaded, passages, starts, texts, params, ctx)
    units = {data["name"]: data["values"] for kind, data in events if kind == "units"}
    FACTS.update((data["name"], data["value"]) for kind, data in events if kind == "fact")
    return metrics, units, [data for kind, data in events if kind == "sample"]


def test_a_second_scorer_stands_beside_the_generating_model(oracle, tmp_path):
    metrics, units, samples = trial(tmp_path, scorer=MODEL)
    # The scorer reads text anew, with a BOS before it and without the EOS behind it, so it is near and not equal.
    assert metrics["scorer_perplexity"] == pytest.approx(metrics["perplexity"], rel=0.8)
    assert len(units["scorer_perplexity"]) == len(units["perplexity"]) == len(samples) == 6
    assert sum(units["perplexity"]) / 6 == pytest.approx(metrics["perplexity"])
    assert metrics["tokens_per_s"] > 0


def test_forced_words_are_counted_one_by_one_and_together(oracle, tmp_path):
    metrics, _, samples = trial(tmp_path, num_beams=4, force_words=["class", ["object", "value"]])
    assert metrics["coverage"] == metrics["constraints_met"] == 100.0
    assert all("class" in sample["text"] for sample in samples)


def test_what_ran_the_steps_is_recorded_with_its_reason_and_decides_no_text(oracle, tmp_path):
    written = []
    for name in ("dynamic", "auto", "static"):
        folder = tmp_path / name
        folder.mkdir()
        _, _, samples = trial(folder, cache_implementation=name, do_sample=True)
        ran = tuple(FACTS[f"decoding_{fact}"] for fact in ("cache_implementation", "step", "step_reason"))
        written.append((ran, [sample["ids"] for sample in samples]))
    assert [ran for ran, _ in written] == [
        ("dynamic", "eager", "cache_implementation = dynamic"),
        ("dynamic", "eager", "no CUDA graphs on cpu"),
        ("static", "eager", "no CUDA graphs on cpu"),
    ]
    assert written[0][1] == written[1][1] == written[2][1]


def test_a_trial_that_goes_on_tells_what_ran_before(oracle, tmp_path):
    trial(tmp_path, cache_implementation="static")
    FACTS.clear()
    trial(tmp_path, cache_implementation="static")
    assert FACTS["num_resumed_prompts"] == 6
    assert (FACTS["decoding_cache_implementation"], FACTS["decoding_step"]) == ("static", "eager")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"torch_compile": True, "cache_implementation": "dynamic"}, "Try cache_implementation: auto"),
        ({"torch_compile": True, "use_cache": False}, "torch_compile = true is about a cache"),
        ({"cache_implementation": "static", "use_cache": False}, "cache_implementation = static is about a cache"),
    ],
)
def test_steps_that_cannot_be_are_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        DecodingSettings(model="m", **changes)


def test_a_length_that_counts_the_prompt_is_that_of_the_human_text_too(oracle, t5, tmp_path):
    metrics, _, _ = trial(tmp_path, reference=True, max_new_tokens=None, max_length=20)
    assert metrics["length"] == FACTS["reference_tokens"] == 12
    short = DecodingSettings(model=MODEL, prompt_tokens=8, max_length=8)
    with pytest.raises(PapergenError, match="max_length = 8 counts the prompt_tokens = 8 as well"):
        Loaded(SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=False)), None).most_new(short)
    assert Loaded(t5, None).most_new(short) == 7  # the decoder's start token is counted, and no prompt


def test_human_text_is_measured_and_generates_nothing(oracle, tmp_path):
    metrics, _, samples = trial(tmp_path, reference=True)
    assert metrics["length"] == 20.0
    assert "tokens_per_s" not in metrics
    assert {sample["finish"] for sample in samples} == {"length"}


def test_mauve_by_local_features(oracle, tmp_path):
    metrics, _, _ = trial(tmp_path, mauve_model=MODEL, do_sample=True, num_return_sequences=4)
    assert 0 < metrics["mauve"] <= 1


def test_drafts_are_reported_and_an_assistant_is_found_in_the_project(oracle, tmp_path):
    (tmp_path / "drafter").symlink_to(MODEL)
    metrics, units, samples = trial(tmp_path, assistant_model="drafter", assistant_confidence_threshold=0.0)
    assert metrics["acceptance_rate"] == 100.0  # the model drafts for itself
    assert len(units["tokens_per_pass"]) == 6
    assert metrics["tokens_per_pass"] > 3
    (tmp_path / "plain").mkdir()
    plain, _, without = trial(tmp_path / "plain")
    assert [sample["ids"] for sample in samples] == [sample["ids"] for sample in without]
    assert "acceptance_rate" not in plain


def test_texts_are_scored_while_they_are_generated(oracle, tmp_path, monkeypatch):
    """The same as by a pass of its own, for drawn text and for what a search found."""
    for number, own in enumerate(({"do_sample": True, "top_p": 0.9}, {"num_beams": 3})):
        (folder := tmp_path / str(number)).mkdir()
        metrics, units, _ = trial(folder, **own)
        (again := tmp_path / f"again-{number}").mkdir()
        with monkeypatch.context() as patched:
            forget = lambda *arguments: dataclasses.replace(generated_texts(*arguments), scores=None)  # noqa: E731
            patched.setattr(sys.modules[__name__], "_generated", forget)
            asked, asked_units, _ = trial(again, **own)
        assert metrics["perplexity"] == pytest.approx(asked["perplexity"], rel=1e-4)
        assert units["log_prob"] == pytest.approx(asked_units["log_prob"], abs=1e-3)
