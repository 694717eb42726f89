"""The tables of an appendix."""

from __future__ import annotations

from made import make_result, make_results, make_trial

from papergen.ml.decoding.strategy import Strategy
from papergen.report.appendix import hyperparameter_table, runs_table


def names(**rows: dict[str, object]) -> set[str]:
    """The parameters that a table of these strategies shows."""
    strategies = {row: Strategy.model_validate({"max_new_tokens": 8, **given}) for row, given in rows.items()}
    return {line.name.rpartition(":")[2] for line in hyperparameter_table(strategies).rows}


def test_what_does_nothing_in_any_row_is_left_out() -> None:
    assert not names(greedy={}) & {"num_assistant_tokens", "max_matching_ngram_size", "length_penalty"}
    drafts = names(greedy={}, lookup={"prompt_lookup_num_tokens": 4})
    assert {"prompt_lookup_num_tokens", "max_matching_ngram_size"} <= drafts
    assert "num_assistant_tokens" not in drafts
    assert "num_assistant_tokens" in names(greedy={}, assisted={"assistant_model": "a"})
    assert "length_penalty" in names(greedy={}, beam={"num_beams": 2})


def test_runs_shorter_than_a_second_have_two_significant_digits() -> None:
    durations = [0.0, 0.00321, 0.0341, 0.0996, 0.52, 0.994, 0.996, 1.4, 90.2]
    found = [
        make_result(make_trial("ops", f"row{i}"), {}, provenance={"duration_s": value})
        for i, value in enumerate(durations)
    ]
    shown = [row.cells[-1] for row in runs_table(make_results(found)).rows]
    assert shown == ["0", "0.0032", "0.034", "0.10", "0.52", "0.99", "1", "1", "90"]
