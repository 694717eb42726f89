"""The paper's part of tensor operations: families, shares of the ceiling by hand, and the roofline's lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from made import make_provenance

from papergen.core.phrase import said
from papergen.experiment.registry import load_kinds
from papergen.latex.text import escape
from papergen.ml.ops.catalogue import OPERATIONS
from papergen.report.parts import View
from papergen.report.plain import part_of
from papergen.report.results import Results
from papergen.report.tables.table import Table
from papergen.report.tables.tabular import tabular_tex
from papergen.report.words import in_language
from papergen.store.records import Outcome, Result, Trial
from papergen.store.runs import Store

KIND = load_kinds(None)["ops"]

NO_GPU = "A row on CUDA needs a GPU; this run has none."
ROWS: dict[str, tuple[dict[str, Any], dict[str, float], dict[str, Any]]] = {
    "ceilings": (
        {"op": "ceilings", "size": 64},
        {"peak_gflops": 100.0, "peak_gbytes_per_s": 20.0, "cached_gbytes_per_s": 40.0},
        {"bandwidths": [[2**16, 40.0], [2**20, 40.0], [2**24, 20.0]]},
    ),
    "product": (
        {"op": "matmul_2d_2d", "size": 64},
        {"torch_us": 10.0, "numpy_us": 20.0, "relative_error": 2e-7, "gflops": 50.0, "gbytes_per_s": 5.0},
        {"flops_per_byte": 10.0, "num_bytes": 2**26, "shares_memory": False},
    ),
    "product@size-32": (
        {"op": "matmul_2d_2d", "size": 32},
        {"torch_us": 5.0, "numpy_us": 9.0, "relative_error": 1e-7, "gflops": 20.0, "gbytes_per_s": 5.0},
        {"flops_per_byte": 5.0, "num_bytes": 2**12, "shares_memory": False},
    ),
    "double": (
        {"op": "matmul_2d_2d", "size": 64, "dtype": "float64"},
        {"torch_us": 30.0, "relative_error": 1e-16, "error_bound": 1e-13, "gflops": 16.0},
        {"flops_per_byte": 5.0, "shares_memory": False},
    ),
    "dot": (
        {"op": "matmul_1d_1d", "size": 64},
        {"torch_us": 1.0, "numpy_us": 1.0, "relative_error": 1e-7, "gflops": 4.0, "gbytes_per_s": 16.0},
        {"flops_per_byte": 0.25, "num_bytes": 2**24, "shares_memory": False},
    ),
    "cached": (
        {"op": "triu", "size": 64},
        {"torch_us": 1.0, "numpy_us": 1.0, "relative_error": 0.0, "gbytes_per_s": 30.0},
        {"num_bytes": 2**21, "shares_memory": False},
    ),
    "given": (
        {"op": "add_out", "size": 64},
        {"torch_us": 1.0, "numpy_us": 1.0, "relative_error": 1e-8, "gflops": 2.5, "gbytes_per_s": 30.0},
        {"flops_per_byte": 0.125, "num_bytes": 2**10, "shares_memory": True},
    ),
    "here": (
        {"op": "sin", "size": 64, "device": "cpu"},
        {"torch_us": 2.0, "numpy_us": 1.0, "relative_error": 1e-8, "gflops": 2.5, "gbytes_per_s": 30.0},
        {"flops_per_byte": 0.125, "num_bytes": 2**10, "shares_memory": False},
    ),
    "there": ({"op": "sin", "size": 64, "device": "cuda"}, {}, {}),
    "fused": (
        {"op": "power", "size": 64, "compiled": True},
        {"torch_us": 6.0, "numpy_us": 1.0, "compiled_us": 2.0, "relative_error": 1e-8},
        {"shares_memory": False},
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
        full = KIND.params.model_validate(params).model_dump(mode="json", by_alias=True)
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
        if not metrics:
            continue
        outcome = Outcome(metrics=metrics, facts=facts)
        results[trial.digest] = Result(trial=trial, outcome=outcome, provenance=make_provenance(), artifacts={})
    return View(
        experiment="ops",
        results=Results(
            trials=trials,
            results=results,
            states={t.digest: "finished" if t.digest in results else "unavailable" for t in trials},
            reasons={t.digest: NO_GPU for t in trials if t.digest not in results},
            metrics={"ops": KIND.module.METRICS},
        ),
        store=Store(tmp_path),
        kind=KIND,
        escape=escape,
        language="en",
    )


def cells(table: Table) -> dict[str, list[Any]]:
    return {row.name: list(row.cells) for row in table.rows}


def test_the_table_has_each_operation_once_with_its_share_of_what_the_roofline_grants(view: View) -> None:
    part = part_of(view)
    table = next(table for table in part.tables if table.name == "operations")
    found = cells(table)
    assert list(found) == ["product", "dot", "given", "fused", "cached", "turned"]
    assert [row.group for row in table.rows] == [
        "Products",
        "Products",
        "Elementwise",
        "Elementwise",
        "Masks",
        "Shapes",
    ]
    assert found["product"][0] == "new"
    assert found["turned"][0] == "view"
    assert found["given"][0] == "out"
    assert found["product"][-1].mean == pytest.approx(50)  # of the 100 GFLOP/s that 10 FLOP/byte allow
    assert found["dot"][-1].mean == pytest.approx(80)  # of the 5 GFLOP/s that 0.25 FLOP/byte at 20 GB/s allow
    assert found["given"][-1].mean == pytest.approx(50)  # of the 5 GFLOP/s at 40 GB/s from cache
    assert found["cached"][-1].mean == pytest.approx(75)  # 2 MiB fit the cache of 1 MiB's 40 GB/s
    assert found["turned"][-1] is None
    tex = str(tabular_tex(table))
    assert r"2.0\papergenpower{-7}" in tex or "{-7}" in tex  # never printed as 0.000000
    assert "0.0000" not in tex


def test_the_roofline_bends_where_memory_and_arithmetic_meet(view: View) -> None:
    part = part_of(view)
    figure = next(figure for figure in part.figures if figure.name == "roofline")
    main = figure.series[0]
    assert main.is_curve
    assert main.x[1] == pytest.approx(5.0)  # 100 GFLOP/s at 20 GB/s
    assert list(main.y[1:]) == [100, 100]
    assert math.isclose(main.y[0], 20 * float(main.x[0]))
    assert {series.label for series in figure.series if not series.is_curve} == {"products", "elementwise"}
    bandwidth = next(figure for figure in part.figures if figure.name == "bandwidth")
    assert list(bandwidth.series[0].y) == [40, 40, 20]
    assert {series.label: list(series.x) for series in bandwidth.series[1:]} == {
        "products": [16.0],  # the square product is bound by arithmetic: beyond the ridge
        "elementwise": [2**10 / 2**20],
        "masks": [2.0],
    }


def test_devices_stand_side_by_side_and_what_cannot_run_says_why(view: View) -> None:
    table = next(table for table in part_of(view).tables if table.name == "devices")
    assert [row.label for row in table.rows] == ["cpu", "cuda"]
    assert {row.group for row in table.rows} == {"sine"}
    assert table.footnotes == [NO_GPU]
    assert "n/a" in str(tabular_tex(table))


def test_the_compiled_operation_is_set_against_the_plain_one(view: View) -> None:
    table = next(table for table in part_of(view).tables if table.name == "compiled")
    assert cells(table)["fused"][-1].mean == pytest.approx(3)


def test_the_words_of_every_operation_and_table_are_chinese_in_a_chinese_paper(view: View) -> None:
    table = next(table for table in part_of(view).tables if table.name == "operations")
    chinese = in_language(table, "zh")
    assert [row.cells[0] for row in chinese.rows] == ["新建", "新建", "out", "新建", "新建", "视图"]
    names = {"bmm", "Linear", "scaled_dot_product_attention", "masked_fill", "triu", "tril", "from_numpy", "zeros"}
    names |= {"view", "transpose", "unsqueeze", "expand", "randint", "[1:, 0::2]", "[:-1, -8:]", "[-1]"}
    for operation in OPERATIONS.values():
        chinese_name = said(operation.label, "zh")
        assert chinese_name != operation.label or operation.label in names, f"no Chinese for {operation.label!r}"


def test_types_are_compared_only_where_one_operation_ran_in_several(view: View) -> None:
    table = next(table for table in part_of(view).tables if table.name == "dtypes")
    assert {row.name: row.label for row in table.rows} == {"product": "float32", "double": "float64"}


def test_the_method_names_what_was_run(view: View) -> None:
    text = str(part_of(view).texts["method"])
    assert "7 tensor operations" in text
    assert "from 64\\,KiB to 16\\,MiB" in text
    assert "$n = 32, 64$" in text
    assert "roofline" in text
