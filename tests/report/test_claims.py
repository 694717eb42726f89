"""A claim holds or does not, with the numbers that decide it; whatever is wrong in it is shown at its column."""

from pathlib import Path

import numpy as np
import pytest
from made import constant_gap, make_result, make_results, make_trial
from scipy import stats

from papergen.core.errors import PapergenError
from papergen.report.claims.claim import FUNCTIONS, _shown_p, check, comparisons_of, evaluate, family_of
from papergen.report.claims.operands import row_name
from papergen.report.claims.syntax import parse
from papergen.report.derived import compare, difference, ratio
from papergen.report.formats import plain
from papergen.report.results import Results, UnknownKeyError
from papergen.report.values import Text, Value, summary, value_of


def number(results: Results, key: str) -> Value:
    found = value_of(results, key)
    assert isinstance(found, Value)
    return found


def sampled(samples: list[float], population: str = "p", unit: str = "") -> Value:
    ids = tuple(range(len(samples)))
    return Value(key="e/r/m", sample_ids=ids, population=population, unit=unit, **summary(samples))


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        ("decoding/nucleus/rep_4 < decoding/beam/rep_4", True),
        ("decoding/nucleus/rep_4 > decoding/beam/rep_4", False),
        ("decoding/human/rep_4 < decoding/nucleus/rep_4 < decoding/beam/rep_4 < decoding/greedy/rep_4", True),
        ("decoding/greedy/rep_4 < decoding/nucleus/rep_4 < decoding/beam/rep_4", False),
        ("decoding/nucleus/rep_4 < 5", True),
        ("decoding/nucleus/rep_4 < 5%", True),
        ("decoding/nucleus/rep_4 < 0.5%", False),
        ("decoding/nucleus/rep_4 < 2 * 0.5%", True),
        ("decoding/greedy/rep_4 / decoding/nucleus/rep_4 > 10", True),
        ("decoding/greedy/rep_4 - decoding/beam/rep_4 > 6 and not decoding/greedy/rep_4 < 1", True),
        ("(decoding/greedy/rep_4 + decoding/beam/rep_4) / 2 > 68", True),
        ("2 * 3 - 4 / 2 == 4", True),
        ("-2 < - 1 or 1 < 0", True),
        ("abs(decoding/nucleus/rep_4 - decoding/greedy/rep_4) > 70", True),
        ("ratio(speed/ddp-2/tokens_per_s, speed/ddp-1/tokens_per_s) >= 1.8", True),
        ("ratio(speed/ddp-2/tokens_per_s, speed/ddp-1/tokens_per_s) >= 2", False),
        ("about(speed/ddp-2/tokens_per_s, 2 * speed/ddp-1/tokens_per_s, within=10%)", True),
        ("about(speed/ddp-2/tokens_per_s, 2 * speed/ddp-1/tokens_per_s, within=5%)", False),
        ("argbest(decoding, rep_4) == nucleus", True),
        ('argbest(decoding, "rep_4", rows=[greedy, beam]) == "beam"', True),
        ("argmax(decoding, rep_4) != nucleus", True),
        ("argmin(speed, latency_s) == ddp-2", True),
        ("best(decoding, coherence) > 0.89", True),
        ("min(decoding/greedy/rep_4, decoding/beam/rep_4) == decoding/beam/rep_4", True),
        ("max([1, 2], 3) == 3", True),
        ("significant(decoding/greedy/rep_4, decoding/nucleus/rep_4)", True),
        ("significant(decoding/greedy/rep_4, decoding/beam/rep_4, level=0.0001)", False),
        ("p(decoding/greedy/rep_4, decoding/nucleus/rep_4, test=wilcoxon) == 0.0625", True),
        ("outperforms(decoding/nucleus/rep_4, [decoding/greedy/rep_4, decoding/beam/rep_4])", True),
        ("outperforms(decoding/beam/rep_4, [decoding/greedy/rep_4, decoding/nucleus/rep_4], at_least=1)", True),
        ("outperforms(decoding/beam/rep_4, [decoding/greedy/rep_4, decoding/nucleus/rep_4])", False),
        ("outperforms(decoding/nucleus, [decoding/greedy, decoding/beam], on=[rep_4, coherence], level=0.05)", True),
        ("outperforms(speed/ddp-2, speed/ddp-1, on=[tokens_per_s, latency_s], at_least=2)", True),
    ],
)
def test_claims(results: Results, claim: str, holds: bool) -> None:
    assert check(results, claim).holds is holds


def test_the_evidence_names_the_values_the_test_and_its_weakness(results: Results) -> None:
    verdict = check(results, "significant(decoding/greedy/rep_4, decoding/nucleus/rep_4)")
    a, b = (number(results, f"decoding/{row}/rep_4") for row in ("greedy", "nucleus"))
    p = stats.ttest_rel(a.samples, b.samples).pvalue
    assert verdict.evidence[0] == "decoding/greedy/rep_4 = (72 ± 18)%, n = 5 prompts"
    assert verdict.evidence[-1] == f"{a.key} against {b.key}: paired t test, n = 5, {_shown_p(p)}"
    assert set(verdict.digests) == {*a.digests, *b.digests}
    weak = check(results, "significant(speed/ddp-1/latency_s, speed/ddp-2/latency_s)")
    assert "n = 3" in weak.warnings[0]


@pytest.mark.parametrize(
    ("claim", "column", "words"),
    [
        ("decoding/nucleus/rep_4 <", 25, "expected a key, a number or a function, found 'the end'"),
        ("1 < 2 3", 7, "'3' is one too many here"),
        ("1 < ; 2", 5, "';' means nothing here"),
        ("(1 < 2", 7, "expected ')', found 'the end'"),
        ("mim(1, 2) < 3", 1, "there is no function 'mim'. Did you mean min?"),
        ("1 < significant(1)", 5, "significant is used as significant(a, b, level=0.05"),
        ("decoding/nucleus/rep_4", 1, "a claim is true or false, and this is (0.90 ± 0.9"),
        ("1 and 2 < 3", 1, "expected something true or false, found 1"),
        ("nucleus < 3", 1, "expected a number, found the name 'nucleus'"),
        ("decoding/greedy/rep_4 < speed/ddp-1/latency_s", 1, "count in different units"),
        ("decoding/greedy/rep_4 - speed/ddp-1/latency_s < 3", 23, "counts in % and speed/ddp-1/latency_s in s"),
        ("significant(decoding/greedy/zipf, decoding/beam/zipf)", 1, "rests on one seed"),
        ("significant(decoding/greedy/rep_4, decoding/beam/rep_4, test=anova)", 1, "there is no test 'anova'"),
        ("argbest(decoding, zipf) == beam", 1, "neither higher nor lower is better"),
        ("3 / 0 > 1", 3, "divided by zero"),
        ("1 + 5% > 1", 3, "write both alike"),
    ],
)
def test_a_faulty_claim_is_shown_at_its_column(results: Results, claim: str, column: int, words: str) -> None:
    with pytest.raises(PapergenError) as caught:
        check(results, claim)
    first, shown, mark = str(caught.value).splitlines()[:3]
    assert first.startswith(f"column {column}: ")
    assert words in first
    assert shown.strip() == claim
    assert mark.index("^") == column + 1


def test_one_family_of_all_the_papers_tests_can_take_a_claim_away(results: Results) -> None:
    claim = "significant(decoding/greedy/rep_4, decoding/nucleus/rep_4)"
    ((tested, p),) = comparisons_of(results, claim).items()
    assert tested == ("decoding/greedy/rep_4", "decoding/nucleus/rep_4", "t")
    others = {(f"a/b/{index}", "a/c/d", "t"): 1.0 for index in range(int(0.05 / p) + 1)}
    family = family_of({tested: p, **others})
    assert family[tested] == pytest.approx((len(others) + 1) * p)  # Holm: the smallest of m counts m times
    assert check(results, claim).holds
    alone = check(results, claim, family_of({tested: p}))
    assert alone.holds
    verdict = check(results, claim, family)
    assert not verdict.holds
    assert f"after Holm's correction over the paper's {len(family)} tests" in verdict.evidence[-1]
    better = "outperforms(decoding/nucleus/rep_4, [decoding/greedy/rep_4], level=0.05)"
    (tested,) = comparisons_of(results, better)
    assert check(results, better, {tested: 0.04}).holds
    assert not check(results, better, {tested: 0.06}).holds


def test_unknown_keys_keep_their_own_error(results: Results) -> None:
    with pytest.raises(UnknownKeyError, match="Did you mean nucleus"):
        check(results, "decoding/nucleos/rep_4 < 3")


def test_nothing_is_evaluated_as_python(results: Results) -> None:
    for claim in ("__import__(1)", "decoding.__class__ == 1", "lambda: 1", "[x for x in 1]", "1 if 2 else 3"):
        with pytest.raises(PapergenError):
            check(results, claim)


def test_deep_nesting_is_refused_in_words(results: Results) -> None:
    with pytest.raises(PapergenError, match="too deeply"):
        check(results, "(" * 5000 + "1 < 2" + ")" * 5000)


def test_computed_keys_are_values_with_intervals(results: Results) -> None:
    greedy, beam = number(results, "decoding/greedy/rep_4"), number(results, "decoding/beam/rep_4")
    made = evaluate(results, "diff(decoding/greedy/rep_4, decoding/beam/rep_4)")
    assert isinstance(made, Value)
    gaps = np.subtract(greedy.samples, beam.samples)
    assert (made.low, made.high) == pytest.approx(stats.t.interval(0.95, 4, gaps.mean(), stats.sem(gaps)))
    assert (made.unit, made.n) == ("%", 5)
    assert evaluate(results, "decoding/nucleus/rep_4") == number(results, "decoding/nucleus/rep_4")
    name = evaluate(results, "argbest(decoding, rep_4)")
    assert isinstance(name, Text)
    assert name.text == "nucleus"
    assert row_name("nucleus@top_p-0.9", greedy).printed == "nucleus, top_p 0.9"
    half = evaluate(results, "100 - decoding/greedy/rep_4 / 2")
    assert isinstance(half, Value)
    assert half.half_width == pytest.approx((greedy.half_width or 0) / 2)
    assert half.mean == pytest.approx(100 - greedy.mean / 2)
    assert plain(half, "pm")
    with pytest.raises(PapergenError, match="cannot be printed as a result"):
        evaluate(results, "(1 < 2)")


def test_a_row_name_may_hold_signs(results: Results) -> None:
    one = make_results([make_result(make_trial("speed", "ddp+zero-2@num_ranks-4"), {"latency_s": 2.0})])
    assert check(one, "speed/ddp+zero-2@num_ranks-4/latency_s - 1 == 1").holds
    assert check(one, '"speed/ddp+zero-2@num_ranks-4/latency_s" > 1').holds


def test_unpaired_values_are_compared_by_welch() -> None:
    a, b = sampled([5.0, 6.0, 7.5, 6.2]), sampled([3.0, 3.5, 2.0], population="other")
    theirs = stats.ttest_ind(a.samples, b.samples, equal_var=False)
    assert compare(a, b).p == pytest.approx(theirs.pvalue, rel=1e-9)
    made, interval = difference(a, b), theirs.confidence_interval()
    assert (made.low, made.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_seeds_are_paired_only_when_they_are_the_same_seeds() -> None:
    a = sampled([1.0, 2.0, 4.0], population="seeds")
    b = sampled([1.5, 2.5, 4.6], population="seeds")
    assert compare(a, b).name == "paired t"
    assert compare(a, sampled([1.0, 2.0], population="seeds")).name == "Welch t"


def test_ratio_of_fixed_denominator_is_the_scaled_interval() -> None:
    a, b = sampled([4.0, 6.0, 5.0]), sampled([2.0, 2.0, 2.0], population="q")
    made = ratio(a, b)
    assert (made.low, made.high) == pytest.approx(((a.low or 0) / 2, (a.high or 0) / 2))


def test_fiellers_interval_covers_as_often_as_it_promises() -> None:
    hits = 0
    for trial in range(400):
        draws = np.random.default_rng(trial)
        base = draws.normal(0, 1, 12)
        a, b = 30 + 3 * base + draws.normal(0, 1, 12), 10 + base + draws.normal(0, 0.5, 12)
        made = ratio(sampled(a.tolist()), sampled(b.tolist()))
        assert made.low is not None
        assert made.high is not None
        hits += made.low <= 3.0 <= made.high
    assert 0.92 <= hits / 400 <= 0.98


def test_a_ratio_over_what_may_be_zero_has_no_interval() -> None:
    assert ratio(sampled([1.0, 2.0, 3.0]), sampled([-1.0, 2.0, 0.5], population="q")).low is None
    with pytest.raises(PapergenError, match="nothing can be divided"):
        ratio(sampled([1.0, 2.0]), sampled([0.0, 0.0]))


def test_ties_for_the_best_are_said_not_resolved() -> None:
    tied = make_results(
        [make_result(make_trial("speed", row), {"tokens_per_s": 7.0, "latency_s": 1.0}) for row in ("a", "b")]
    )
    with pytest.raises(PapergenError, match="a and b share the best tokens_per_s"):
        evaluate(tied, "argbest(speed, tokens_per_s)")


def test_every_function_is_documented_by_a_form_that_parses() -> None:
    for name, text in FUNCTIONS.items():
        form = text.split(":")[0].replace(", ...", "").replace("; significantly ", "")
        assert form.startswith(f"{name}(")
        parse(form)


def test_every_function_is_documented() -> None:
    from papergen.report.claims.claim import FUNCTIONS

    page = (Path(__file__).resolve().parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
    assert not [name for name in FUNCTIONS if f"- `{name}(" not in page]


def test_a_tiny_p_is_not_said_to_be_zero() -> None:
    assert [_shown_p(p) for p in (0.0, 3e-5, 0.012345)] == ["p < 0.0001", "p < 0.0001", "p = 0.0123"]


def test_a_difference_that_does_not_vary_lets_no_claim_hold() -> None:
    found = constant_gap()
    ours, base = "speed/ours/tokens_per_s", "speed/base/tokens_per_s"
    for claim in (f"significant({ours}, {base})", f"not significant({ours}, {base})", f"p({ours}, {base}) < 0.05"):
        with pytest.raises(PapergenError, match="cannot be tested: every unit differs by the same"):
            check(found, claim)
    verdict = check(found, f"outperforms({ours}, {base}, level=0.05)")
    assert not verdict.holds
    assert any("cannot be tested" in line for line in verdict.evidence)
    assert comparisons_of(found, f"outperforms({ours}, {base}, level=0.05)") == {}
    assert check(found, f"{ours} > {base}").holds, "that the mean is larger is true"
