"""A value carries what its interval runs over, and every way of having none is an error that says all it knows."""

import subprocess
import sys

import numpy as np
import pytest
from made import decoding_results, make_result, make_results, make_trial
from scipy import stats

from papergen.core.errors import PapergenError
from papergen.experiment.api import Metric
from papergen.report.results import NotANumberError, NotApplicableError, NotFinishedError, Results, UnknownKeyError
from papergen.report.values import Text, Value, value_of


def number(results: Results, key: str) -> Value:
    found = value_of(results, key)
    assert isinstance(found, Value)
    return found


def test_prompts_are_the_units_and_seeds_are_averaged_inside_them(results: Results) -> None:
    value = number(results, "decoding/nucleus/rep_4")
    per_prompt = [2.0, 0.5, 0.0, 1.0, 1.0]
    assert value.mean == pytest.approx(np.mean(per_prompt))
    assert (value.n, value.num_seeds, value.over, value.unit) == (5, 2, "prompts", "%")
    low, high = stats.t.interval(0.95, 4, loc=np.mean(per_prompt), scale=stats.sem(per_prompt))
    assert (value.low, value.high) == pytest.approx((low, high))
    assert len(value.digests) == 2


def test_repeating_deterministic_decoding_cannot_shrink_the_interval(results: Results) -> None:
    once = number(results, "decoding/greedy/rep_4")
    column = list(once.samples)
    repeated = make_results(
        [make_result(make_trial("decoding", "greedy", s), {"rep_4": once.mean}, {"rep_4": column}) for s in range(9)]
    )
    again = number(repeated, "decoding/greedy/rep_4")
    assert again.num_seeds == 9
    assert (again.n, again.low, again.high) == (once.n, once.low, once.high)


def test_seeds_are_the_units_of_a_metric_over_seeds(results: Results) -> None:
    value = number(results, "speed/ddp-1/tokens_per_s")
    rates = [1010.0, 1032.0, 998.0]
    assert (value.low, value.high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(rates), stats.sem(rates)))
    assert (value.n, value.over, value.sample_ids) == (3, "seeds", (0, 1, 2))


def test_one_seed_and_no_units_has_no_interval(results: Results) -> None:
    value = number(results, "decoding/greedy/zipf")
    assert (value.n, value.sd, value.low, value.high, value.half_width) == (1, None, None, None, None)


def test_a_row_planned_twice_under_one_digest_counts_once(results: Results) -> None:
    doubled = Results((*results.trials, *results.trials), results.results, results.states, results.metrics)
    assert number(doubled, "speed/ddp-1/tokens_per_s").n == 3


def test_undefined_units_are_left_out_and_counted(results: Results) -> None:
    one = make_results([make_result(make_trial("decoding", "x"), {"rep_4": 2.0}, {"rep_4": [1.0, None, 3.0]})])
    value = number(one, "decoding/x/rep_4")
    assert (value.n, value.sample_ids, value.mean) == (2, (0, 2), 2.0)


def test_a_number_that_is_not_the_mean_of_its_units_is_refused() -> None:
    one = make_results([make_result(make_trial("decoding", "x"), {"rep_4": 7.0}, {"rep_4": [1.0, 3.0]})])
    with pytest.raises(PapergenError, match="report rep_4 = 7, but its units have the mean 2"):
        value_of(one, "decoding/x/rep_4")


def test_facts_parameters_and_provenance_are_keys_too(results: Results) -> None:
    assert number(results, "decoding/nucleus/num_parameters").mean == 124_439_808
    assert number(results, "decoding/nucleus/num_parameters").is_whole
    assert number(results, "decoding/nucleus/params.top_p").mean == 0.9
    assert value_of(results, "decoding/nucleus/corpus") == Text(
        key="decoding/nucleus/corpus",
        text="pydoc topics",
        digests=tuple(r.trial.digest for r in results.finished("decoding", "nucleus")),
    )
    cpu = value_of(results, "decoding/nucleus/run.cpu")
    assert isinstance(cpu, Text)
    assert cpu.text == "AMD EPYC 7B13"
    tied = value_of(results, "decoding/human/is_tied")
    assert isinstance(tied, Text)
    assert tied.text == "yes"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("decodin/nucleus/rep_4", "there is no experiment 'decodin'. Did you mean decoding?"),
        ("decoding/nucleus2/rep_4", "the experiment decoding has no row 'nucleus2'. Did you mean nucleus?"),
        ("decoding/nucleus/rep4", "decoding/nucleus has no metric 'rep4'. Did you mean rep_4?"),
        ("decoding/nucleus/params.topp", "Did you mean params.top_p?"),
        ("decoding/nucleus", "a key is experiment/row/metric"),
        ("a//b", "a key is experiment/row/metric"),
    ],
)
def test_an_unknown_key_says_which_part_is_wrong_and_the_nearest(results: Results, key: str, words: str) -> None:
    with pytest.raises(UnknownKeyError) as caught:
        value_of(results, key)
    assert words in str(caught.value)
    assert caught.value.key == key
    assert caught.value.exit_code == 2


def test_a_message_names_a_few_rows_of_many() -> None:
    trials = [make_trial("ops", f"row{index}") for index in range(40)]
    results = make_results([make_result(trial, {"loss": 1.0}) for trial in trials])
    with pytest.raises(UnknownKeyError) as caught:
        value_of(results, "ops/row99/loss")
    assert caught.value.hint.endswith("row10, row11 and 28 more (papergen status lists them).")  # type: ignore[union-attr]


def test_a_metric_that_the_row_did_not_report_is_not_applicable(results: Results) -> None:
    with pytest.raises(NotApplicableError, match="the row greedy did not report coverage"):
        value_of(results, "decoding/greedy/coverage")


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("pending", "", "has not been run"),
        ("failed", "ValueError: no data", "failed (ValueError: no data)"),
        ("stale", "num_beams 4 -> 5", "is stale: it changed since it was run (num_beams 4 -> 5)"),
    ],
)
def test_one_unfinished_seed_makes_the_row_unprintable(state: str, reason: str, words: str) -> None:
    missing = make_trial("decoding", "nucleus", 2)
    partial = make_results(decoding_results())
    partial = Results(
        (*partial.trials, missing),
        partial.results,
        {**partial.states, missing.digest: state},  # type: ignore[dict-item]
        partial.metrics,
        reasons={missing.digest: reason},
    )
    with pytest.raises(NotFinishedError) as caught:
        value_of(partial, "decoding/nucleus/rep_4")
    assert "1 of 3 trials, decoding/nucleus seed 2." in str(caught.value)
    assert words in str(caught.value)
    assert "papergen run-exp decoding" in str(caught.value)
    assert (caught.value.state, caught.value.exit_code) == (state, 1)
    with pytest.raises(NotFinishedError, match="declares no metric 'rep4'"):
        value_of(partial, "decoding/nucleus/rep4")


def test_nan_is_never_printed() -> None:
    one = make_results([make_result(make_trial("decoding", "x"), {"rep_4": None})])
    with pytest.raises(NotANumberError, match="NaN or infinity"):
        value_of(one, "decoding/x/rep_4")


def test_scaling_turns_the_interval_with_the_sign(results: Results) -> None:
    value = number(results, "decoding/nucleus/rep_4")
    turned = value.scaled(-2)
    assert turned.mean == -2 * value.mean
    assert value.low is not None
    assert turned.high == -2 * value.low
    assert turned.half_width == pytest.approx(2 * (value.half_width or 0))


def test_a_series_is_averaged_over_seeds_at_common_steps(results: Results) -> None:
    band = results.series("decoding", "nucleus", "loss")
    assert list(band.steps) == [10, 20]
    assert list(band.mean) == [3.5, 2.5]
    assert band.low is not None
    assert results.series("decoding", "greedy", "loss").low is None
    with pytest.raises(UnknownKeyError, match="Did you mean loss"):
        results.series("decoding", "greedy", "los")


def test_reading_values_imports_nothing_heavy() -> None:
    code = "import sys, papergen.report.values; "
    code += "print([m for m in ('numpy', 'scipy', 'torch', 'matplotlib', 'transformers') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_row_that_a_metric_aims_at_may_be_told_by_a_parameter() -> None:
    metrics = {"decoding": (Metric(name="length", label="Length", closest_where="is_human"),)}
    rows = {"greedy": False, "how people write": True, "more people": True}
    trials = [make_trial("decoding", row, params={"is_human": is_human}) for row, is_human in rows.items()]
    assert Results(trials, {}, {}, metrics).metric("decoding", "length").closest_to == "how people write"
    assert Results(trials[:1], {}, {}, metrics).metric("decoding", "length").closest_to is None
