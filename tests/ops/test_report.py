"""The paper's part of tensor operations: families, shares of the ceiling by hand, and the roofline's lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from made import make_provenance

from papergen.experiment import load_recipes
from papergen.records import Outcome, Result, Trial
from papergen.report.parts import View
from papergen.report.results import Results
from papergen.report.tables import Table
from papergen.report.tex import escape_ascii
from papergen.runs import Store

RECIPE = load_recipes(None)["ops"]

ROWS: dict[str, tuple[dict[str, Any], dict[str, float], dict[str, Any]]] = {
    "ceilings": (
        {"op": "ceilings", "size": 64},
        {"peak_gflops": 100.0, "peak_gbytes_per_s": 20.0, "cached_gbytes_per_s": 40.0},
        {},
    ),
    "product": (
        {"op": "matmul_2d_2d", "size": 64},
        {"torch_us": 10.0, "numpy_us": 20.0, "relative_error": 2e-7, "gflops": 50.0, "gbytes_per_s": 5.0},
        {"flops_per_byte": 10.0, "shares_memory": False},
    ),
    "product@size-32": (
        {"op": "matmul_2d_2d", "size": 32},
        {"torch_us": 5.0, "numpy_us": 9.0, "relative_error": 1e-7, "gflops": 20.0, "gbytes_per_s": 5.0},
        {"flops_per_byte": 5.0, "shares_memory": False},
    ),
    "double": (
        {"op": "matmul_2d_2d", "size": 64, "dtype": "float64"},
        {"torch_us": 30.0, "relative_error": 1e-16, "error_bound": 1e-13, "gflops": 16.0},
        {"flops_per_byte": 5.0, "shares_memory": False},
    ),
    "dot": (
        {"op": "matmul_1d_1d", "size": 64},
        {"torch_us": 1.0, "numpy_us": 1.0, "relative_error": 1e-7, "gflops": 4.0, "gbytes_per_s": 16.0},
        {"flops_per_byte": 0.25, "shares_memory": False},
    ),
    "turned": (
        {"op": "transpose", "size": 64},
        {"torch_us": 0.5, "numpy_us": 0.1, "relative_error": 0.0},
        {"shares_memory": True},
    ),
}


@pytest.fixture
def view(tmp_path: Path) -> View:
    trials, results = [], {}
    for row, (params, metrics, facts) in ROWS.items():
        full = RECIPE.params.model_validate(params).model_dump(mode="json", by_alias=True)
        trial = Trial(
            experiment="ops",
            kind="ops",
            row=row,
            seed=0,
            params=full,
            num_ranks=1,
            is_seeded=True,
            upstream={},
            parts={"params": full},
            digest=row.encode().hex().ljust(64, "0")[:64],
        )
        trials.append(trial)
        outcome = Outcome(metrics=metrics, facts=facts)
        results[trial.digest] = Result(trial=trial, outcome=outcome, provenance=make_provenance(), artifacts={})
    return View(
        experiment="ops",
        results=Results(
            trials=trials,
            results=results,
            states=dict.fromkeys(results, "finished"),
            metrics={"ops": RECIPE.module.METRICS},
        ),
        store=Store(tmp_path),
        recipe=RECIPE,
        escape=escape_ascii,
        language="en",
    )


def cells(table: Table) -> dict[str, list[Any]]:
    return {row.name: list(row.cells) for row in table.rows}


def test_the_table_has_each_operation_once_with_its_share_of_what_the_roofline_grants(view: View) -> None:
    part = RECIPE.parts()(view)
    table = next(table for table in part.tables if table.name == "operations")
    found = cells(table)
    assert list(found) == ["product", "dot", "turned"]
    assert [row.group for row in table.rows] == ["Products", "Products", "Shapes"]
    assert found["product"][0] == "new"
    assert found["turned"][0] == "view"
    assert found["product"][-1].mean == pytest.approx(50)  # of the 100 GFLOP/s that 10 FLOP/byte allow
    assert found["dot"][-1].mean == pytest.approx(80)  # of the 5 GFLOP/s that 0.25 FLOP/byte at 20 GB/s allow
    assert found["turned"][-1] is None
    tex = str(table.to_tex())
    assert r"2.0\papergenpower{-7}" in tex or "{-7}" in tex  # never printed as 0.000000
    assert "0.0000" not in tex


def test_the_roofline_bends_where_memory_and_arithmetic_meet(view: View) -> None:
    part = RECIPE.parts()(view)
    figure = next(figure for figure in part.figures if figure.name == "roofline")
    main = figure.series[0]
    assert main.is_curve
    assert main.x[1] == pytest.approx(5.0)  # 100 GFLOP/s at 20 GB/s
    assert list(main.y[1:]) == [100, 100]
    assert math.isclose(main.y[0], 20 * float(main.x[0]))
    assert {series.label for series in figure.series if not series.is_curve} == {"products"}


def test_types_are_compared_only_where_one_operation_ran_in_several(view: View) -> None:
    table = next(table for table in RECIPE.parts()(view).tables if table.name == "dtypes")
    assert {row.name: row.label for row in table.rows} == {"product": "float32", "double": "float64"}


def test_the_method_names_what_was_run(view: View) -> None:
    text = str(RECIPE.parts()(view).texts["method"])
    assert "3 tensor operations" in text
    assert "$n = 32, 64$" in text
    assert "roofline" in text
