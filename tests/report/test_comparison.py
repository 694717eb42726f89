"""papergen compare and papergen rerun: two results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import papergen, results
from fakes import FAKE_KIND
from made import constant_gap, decoding_results, make_results, speed_results
from scipy import stats

from papergen.core.errors import PapergenError
from papergen.report.comparison import compared, describe
from papergen.report.results import Results


@pytest.fixture
def made() -> Results:
    return make_results([*decoding_results(), *speed_results()])


GREEDY, BEAM = [70.0, 62.5, 81.2, 55.0, 90.1], [60.0, 66.5, 71.2, 50.0, 80.1]


def test_rows_on_the_same_prompts_are_paired_as_scipy_pairs_them(made: Results) -> None:
    found = compared(made, "decoding/greedy", "decoding/beam", metrics=["rep_4"])
    (contrast,) = found.contrasts
    reference = stats.ttest_rel(GREEDY, BEAM)
    interval = reference.confidence_interval()
    assert contrast.p == pytest.approx(reference.pvalue)
    assert (contrast.low, contrast.high) == pytest.approx((interval.low, interval.high))
    assert (contrast.n, contrast.over, contrast.is_paired, contrast.better) == (5, "prompts", True, "B")
    assert contrast.effect_name == "d_z"


@pytest.mark.parametrize(("test", "reference"), [("wilcoxon", stats.wilcoxon), ("t", stats.ttest_rel)])
def test_the_test_is_chosen(made: Results, test: str, reference: object) -> None:
    found = compared(made, "decoding/greedy/rep_4", "decoding/beam/rep_4", test=test)
    assert found.contrasts[0].p == pytest.approx(reference(GREEDY, BEAM).pvalue)  # type: ignore[operator]


def test_several_metrics_are_corrected_by_holm_and_one_seed_is_not_tested(made: Results) -> None:
    found = {item.metric: item for item in compared(made, "decoding/greedy", "decoding/beam").contrasts}
    assert set(found) == {"rep_4", "coherence", "zipf"}
    smaller = min(found["rep_4"].p, found["coherence"].p)  # type: ignore[type-var]
    assert min(found["rep_4"].p_holm, found["coherence"].p_holm) == pytest.approx(2 * smaller)  # type: ignore[type-var,operator]
    assert found["zipf"].p is None
    assert "use more seeds" in found["zipf"].warnings[0]


def test_speeds_of_other_machines_are_called_not_comparable() -> None:
    other = make_results(speed_results(cpu="Another CPU"))
    found = compared(other, "speed/ddp-1", "speed/ddp-2")
    assert "the CPU is AMD EPYC 7B13 in the one and Another CPU in the other" in describe(found)
    assert "cpu AMD EPYC 7B13 -> Another CPU" in found.differs


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("decoding/greedy", "decoding", "name two experiments, two rows or two keys"),
        ("decoding", "speed", "have no row of the same name"),
        ("decoding/gredy", "decoding/beam", "Did you mean greedy?"),
    ],
)
def test_what_cannot_be_compared_is_told(made: Results, a: str, b: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        compared(made, a, b)
    assert message in str(caught.value)


def test_compare_from_the_command_line(project: Path) -> None:
    papergen("run-exp", cwd=project)
    done = papergen("compare", "first/small", "first/large", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "size 1 -> 5" in done.stdout
    record = json.loads(papergen("compare", "first/small", "first/large", "--json", cwd=project).stdout)
    assert [item["difference"] for item in record["contrasts"]] == [-8.0, 0.0]
    refused = papergen("compare", "first/small", "first/large", "--test", "mcnemar", cwd=project)
    assert "are no yes/no outcomes" in refused.stderr


def test_rerun_says_exact_and_leaves_the_result_alone(project: Path) -> None:
    papergen("run-exp", "--only", "large", cwd=project)
    before = results(project)
    done = papergen("rerun", "first/large/score", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same, bit for bit") == 2
    assert results(project) == before
    assert not (project / "results" / ".rerun").exists()


def test_rerun_names_what_differs(project: Path) -> None:
    unstable = FAKE_KIND.replace('return {"score": float(', 'import random; return {"score": random.random() + float(')
    (project / "experiments" / "fake.py").write_text(unstable)
    papergen("run-exp", "--only", "fixed", cwd=project)
    done = papergen("rerun", "first/fixed", "--json", cwd=project)
    assert done.returncode == 1
    checks = {check["name"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}
    assert checks["score"] == "different"
    assert checks["loss"] == checks["samples"] == checks["curve loss"] == "exact"
    near = papergen("rerun", "first/fixed", "--tolerance", "1", cwd=project)
    assert (near.returncode, "the same within 1" in near.stdout) == (0, True)


def test_rerun_of_what_is_not_finished_is_refused(project: Path) -> None:
    assert "is pending" in papergen("rerun", "first/large", cwd=project).stderr
    assert "Did you mean first/large?" in papergen("rerun", "first/lage", cwd=project).stderr


def test_a_difference_that_does_not_vary_has_no_interval_no_p_and_no_star() -> None:
    found = compared(constant_gap(), "speed/ours/tokens_per_s", "speed/base/tokens_per_s")
    (contrast,) = found.contrasts
    assert (contrast.difference, contrast.low, contrast.p, contrast.p_holm) == (0.25, None, None, None)
    told = describe(found)
    assert "warning: cannot be tested: every unit differs by the same" in told
    assert "A better" not in told
