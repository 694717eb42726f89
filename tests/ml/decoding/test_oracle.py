"""Against outputs of transformers 4.56.2, the last release with all of these searches inside."""

import json
from pathlib import Path

import pytest

from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.strategy import Strategy

CASES = Path(__file__).parents[2] / "oracle" / "open" / "cases.json"
ALL = json.loads(CASES.read_text())["cases"] if CASES.is_file() else []


def named(*modes):
    return [pytest.param(case, id=case["id"]) for case in ALL if case["mode"] in modes]


ENGINES = {"dynamic": Engine("dynamic"), "static": Engine("static")}


def run(case, oracle, models, cache="dynamic"):
    """Generations per prompt; the lengths that transformers counts with the padding are given without it."""
    prompts = oracle["prompt_ids"][case["model"]]
    width = max(len(prompt) for prompt in prompts)
    parameters = dict(case["kwargs"])
    for padded, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        if padded in parameters:
            parameters[new] = parameters.pop(padded) - width
    strategy = Strategy(**parameters)
    batch_size = len(prompts) if case["batch"] == "batched" else 1
    model = models[case["model"]]
    found = generate(model, None, prompts, strategy, seed=0, batch_size=batch_size, engine=ENGINES[cache])
    count = strategy.num_return_sequences
    return strategy, [found[start : start + count] for start in range(0, len(found), count)]


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("case", named("greedy", "beam", "diverse"))
def test_ids_scores_and_log_probabilities_are_those_of_the_oracle(case, cache, oracle, models):
    _, found = run(case, oracle, models, cache)
    for group, rows in zip(found, case["rows"], strict=True):
        assert [list(one.ids) for one in group] == [row["ids"] for row in rows]
        for one, row in zip(group, rows, strict=True):
            assert one.log_prob == pytest.approx(row["logp"], abs=2e-4)
            if row["score"] is not None:
                assert one.score == pytest.approx(row["score"], abs=2e-4)


def contains(ids, phrase):
    return any(list(ids[start : start + len(phrase)]) == phrase for start in range(len(ids)))


@pytest.mark.parametrize("case", named("constrained"))
def test_forced_words_are_in_every_output_once_each_output(case, oracle, models):
    strategy, found = run(case, oracle, models)
    choices = [item if isinstance(item[0], list) else [item] for item in case["kwargs"]["force_words_ids"]]
    for group in found:
        assert len({one.ids for one in group}) == strategy.num_return_sequences
        for one in group:
            assert one.is_met
            assert all(any(contains(one.ids, phrase) for phrase in choice) for choice in choices)
        assert [one.score for one in group] == sorted((one.score for one in group), reverse=True)


@pytest.mark.parametrize("case", named("constrained"))
def test_the_best_constrained_output_is_no_worse_than_the_faulty_search_where_that_one_is_valid(case, oracle, models):
    _, found = run(case, oracle, models)
    for group, rows in zip(found, case["rows"], strict=True):
        if rows[0]["sat"] and rows[0]["score"] is not None:
            assert group[0].score >= rows[0]["score"] - 2e-4
