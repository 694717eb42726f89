"""A table prints what was measured, marks the best by rule, and refuses what is unfinished or not comparable."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pylatex
import pytest
from made import constant_gap, decoding_results, make_result, make_results, make_trial, speed_results
from pylatex.errors import TableRowSizeError

from papergen.core.errors import PapergenError
from papergen.experiment.api import Metric
from papergen.experiment.registry import load_kinds
from papergen.latex.text import Tex
from papergen.report.comparison import Facet, NotComparableError
from papergen.report.derived import compare, extreme
from papergen.report.results import NotFinishedError, Results, row_label
from papergen.report.statistics import holm
from papergen.report.tables.table import Column, Row, Table, marked_against, table_of
from papergen.report.tables.tabular import fits, tabular_of, tabular_tex
from papergen.report.values import Value, summary, value_of


def simple(means: dict[str, float], **column: object) -> Table:
    shown = Column(**{"name": "m", "heading": "M", "direction": "higher", **column})  # type: ignore[arg-type]
    rows = [Row(name=name, label=name, cells=(Value(key=f"e/{name}/m", mean=m),)) for name, m in means.items()]
    return Table(name="t", columns=(shown,), rows=tuple(rows))


def visible(tex: str) -> str:
    """The text without what is invisible or only moves it."""
    return re.sub(r"\\phantom\{(?:[^{}]|\{[^{}]*\})*\}", "", tex)


def test_a_decoding_table(results: Results) -> None:
    table = table_of(results, "strategies", "decoding", ["rep_4", "coherence", "zipf"], with_n=True)
    tex = tabular_tex(table)
    assert tex.startswith("\\begin{tabular}{@{}lcccc@{}}\n\\toprule\n")
    assert r" & Rep-4 (\%) & Coherence~$\uparrow$ & Zipf & $n$ \\" in tex
    assert [row.name for row in table.rows] == ["human", "greedy", "beam", "nucleus"]
    assert tex.count(r"\midrule") == 2, "the human reference is set apart"
    assert re.search(r"^nucleus & .*\\textbf\{0\.896\}.* & 5 \\\\$", tex, re.MULTILINE), tex
    assert len(table.digests) == 5


def test_the_reference_is_the_row_that_says_so_whatever_its_name() -> None:
    found = [
        make_result(make_trial("decoding", row, params={"reference": row == "人类"}), {"rep_4": value})
        for row, value in (("人类", 5.0), ("贪心", 80.0), ("核采样", 4.0))
    ]
    metrics = {"decoding": (Metric(name="rep_4", label="rep-4", closest_where="reference"),)}
    results = replace(make_results(found), metrics=metrics)
    table = table_of(results, "t", "decoding", ["rep_4"])
    assert (table.columns[0].target, [row.is_reference for row in table.rows]) == ("人类", [True, False, False])
    assert extreme(results, "best", "decoding", "rep_4")[0] == "核采样"


def test_the_nearest_to_the_target_is_best_and_the_target_is_not_marked(results: Results) -> None:
    table = table_of(results, "t", "decoding", ["rep_4"])
    lines = [line for line in tabular_tex(table).splitlines() if line.endswith(r"\\")]
    assert [r"\textbf" in line for line in lines] == [False, False, False, False, True]
    assert [r"\underline" in line for line in lines] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("direction", "bold", "underlined"), [("higher", {"c"}, {"b"}), ("lower", {"a"}, {"b"}), ("none", set(), set())]
)
def test_best_bold_second_underlined(direction: str, bold: set[str], underlined: set[str]) -> None:
    tex = tabular_tex(simple({"a": 1.0, "b": 2.0, "c": 3.0}, direction=direction))
    assert {line[0] for line in tex.splitlines() if r"\textbf" in line} == bold
    assert {line[0] for line in tex.splitlines() if r"\underline" in line} == underlined


def test_ties_as_printed_are_bold_together_and_all_alike_is_unmarked() -> None:
    tex = tabular_tex(simple({"a": 1.001, "b": 1.002, "c": 0.5}, decimals=1))
    assert tex.count(r"\textbf{1.0}") == 2
    assert r"\underline" not in tex
    assert r"\textbf" not in tabular_tex(simple({"a": 1.001, "b": 1.002}, decimals=1))


def test_numbers_of_a_column_share_decimals_and_stand_under_each_other() -> None:
    cells = {"a": [9.0, 9.4, 9.1], "b": [120.0, 121.0, 125.5], "c": [-3.0, -3.1, -3.4]}
    rows = tuple(
        Row(name=name, label=name, cells=(Value(key=f"e/{name}/m", **summary(numbers)),))
        for name, numbers in cells.items()
    )
    tex = tabular_tex(Table(name="t", columns=(Column(name="m", heading="M"),), rows=rows))
    assert visible(tex).count(r"{\scriptsize$\pm$\,") == 3
    assert re.findall(r"(?:\d+\.\d+|\$-\$\d+\.\d+)(?=\\,)", visible(tex)) == ["9.17", "122.17", "$-$3.17"]
    assert r"\phantom{12}9.17" in tex


def test_not_applicable_is_a_dash_and_unfinished_is_an_error(results: Results) -> None:
    extra = make_result(make_trial("decoding", "constrained"), {"rep_4": 3.0, "coverage": 1.0})
    both = make_results([*decoding_results(), extra])
    assert re.search(r"^greedy & --- \\\\$", tabular_tex(table_of(both, "t", "decoding", ["coverage"])), re.MULTILINE)
    missing = replace(both, states={**both.states, extra.trial.digest: "stale"})
    with pytest.raises(NotFinishedError):
        table_of(missing, "t", "decoding", ["coverage"])


def test_slices_as_in_numpy(results: Results) -> None:
    table = table_of(results, "t", "decoding", ["rep_4", "coherence", "zipf"])
    part = table[1:3, ["zipf", "rep_4"]]
    assert [row.name for row in part.rows] == ["greedy", "beam"]
    assert [column.name for column in part.columns] == ["zipf", "rep_4"]
    assert part.rows[0].cells[0] is table.rows[1].cells[2]
    assert [row.name for row in table["nucleus", :].rows] == ["nucleus"]
    with pytest.raises(PapergenError, match=r"row 'nucles' does not exist. Did you mean nucleus\?"):
        table["nucles", :]
    with pytest.raises(PapergenError, match="column 7 does not exist: there are 3"):
        table[:, 7]


def test_grouped_headings_and_rows() -> None:
    value = Value(key="e/r/m", mean=1.5)
    columns = (
        Column(name="a", heading="A", group="Repetition"),
        Column(name="b", heading="B", group="Repetition"),
        Column(name="c", heading="C"),
    )
    rows = (
        Row(name="x", label="X_1", cells=(value, value, value), group="Search"),
        Row(name="y", label=Tex(r"$\eta$"), cells=(value, "50%", None), group="Sampling"),
    )
    tex = tabular_tex(Table(name="t", columns=columns, rows=rows))
    assert r" & \multicolumn{2}{c}{Repetition} & \multicolumn{1}{c}{} \\" in tex
    assert r"\cmidrule(lr){2-3}" in tex
    assert r"\multicolumn{4}{@{}l}{\emph{Search}} \\" in tex
    assert r"\quad X\_1 & 1.5" in tex
    assert r"\quad $\eta$ & 1.5 & 50\% & --- \\" in tex
    assert r"\addlinespace" in tex


def test_text_is_escaped_by_the_callers_escape() -> None:
    table = replace(simple({"a": 1.0}), corner="100 % & more")
    assert r"100 \% \& more &" in tabular_tex(table)
    assert "«100 % & more»" in tabular_tex(table, lambda text: f"«{text}»")


def test_a_table_takes_the_largest_size_that_fits() -> None:
    narrow = simple({"a": 1.0, "b": 2.0})
    assert tabular_tex(narrow, width_in=3.3).startswith("{\\setlength{\\tabcolsep}{6pt}%\n")
    wide = replace(narrow, columns=narrow.columns * 9, rows=tuple(replace(r, cells=r.cells * 9) for r in narrow.rows))
    wide = replace(wide, columns=tuple(replace(c, heading="A rather long heading") for c in wide.columns))
    assert not fits(wide, 3.3)
    assert "\\scriptsize" in tabular_tex(wide, width_in=3.3)


def test_other_data_dtype_or_hardware_is_refused_with_the_reason() -> None:
    a = make_result(make_trial("decoding", "a"), {"zipf": 1.0})
    other_data = make_result(make_trial("decoding", "b", data={"corpus": "0ddba11"}), {"zipf": 1.0})
    half = make_result(make_trial("decoding", "b", params={"dtype": "float16"}), {"zipf": 1.0})
    with pytest.raises(
        PapergenError, match="decoding/a and decoding/b are not comparable: the data 'corpus' is c0ffee"
    ):
        table_of(make_results([a, other_data]), "t", "decoding", ["zipf"])
    with pytest.raises(NotComparableError, match="the dtype is float32 in the one and float16 in the other") as caught:
        table_of(make_results([a, half]), "t", "decoding", ["zipf"])
    assert caught.value.facet is Facet.DTYPE
    assert table_of(make_results([a, half]), "t", "decoding", ["zipf"], varies={"dtype"}).rows


def test_hardware_matters_for_speed_only() -> None:
    mixed = make_results(speed_results(cpu="Intel Xeon"))
    with pytest.raises(PapergenError, match="the CPU is AMD EPYC 7B13 in the one and Intel Xeon in the other"):
        table_of(mixed, "t", "speed", ["tokens_per_s"])
    found = [
        make_result(make_trial("decoding", row), {"zipf": 1.0}, provenance={"cpu": row}) for row in ("Intel", "AMD")
    ]
    assert table_of(make_results(found), "t", "decoding", ["zipf"]).rows


def test_significant_differences_from_a_baseline_are_marked(results: Results) -> None:
    table = table_of(results, "t", "decoding", ["rep_4", "zipf"])
    marked = marked_against(table, "greedy")
    by_row = {
        row: compare(*(table[row_, "rep_4"].values[0] for row_ in (row, "greedy"))).p
        for row in ("human", "beam", "nucleus")
    }
    expected = {name for name, p in zip(by_row, holm(list(by_row.values())), strict=True) if p < 0.05}
    assert {row for row, _ in marked.notes or {}} == expected == {"human", "nucleus"}
    tex = tabular_tex(marked)
    assert tex.count(r"$^{*}$") - tex.count(r"\phantom{$^{*}$}") == 2
    with pytest.raises(PapergenError, match=r"row 'gready' does not exist. Did you mean greedy\?"):
        marked_against(table, "gready")


@pytest.mark.tex
def test_the_tabular_compiles_in_a_two_column_article(results: Results, tmp_path: Path) -> None:
    decoding = tabular_tex(
        table_of(results, "t", "decoding", ["rep_4", "coherence", "zipf"], with_n=True), width_in=3.3
    )
    speed = tabular_tex(table_of(results, "t", "speed", ["tokens_per_s", "latency_s"], corner="Ranks"), width_in=3.3)
    noted = tabular_tex(table_of(unavailable_results(), "t", "speed", ["tokens_per_s", "latency_s"]), width_in=3.3)
    (tmp_path / "main.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage[T1]{fontenc}\\usepackage{mathptmx,booktabs}\\begin{document}"
        f"\\begin{{table}}\\centering {decoding}\\caption{{x}}\\end{{table}}\n{speed}\n\n\\mbox{{{noted}}}"
        "\\end{document}"
    )
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "main"], cwd=tmp_path, capture_output=True, check=False
    )
    log = (tmp_path / "main.log").read_text(errors="replace")
    assert ran.returncode == 0, log[-2000:]
    assert "Overfull" not in log


def unavailable_results() -> Results:
    """The experiment `speed` with two rows that could not run on the device, for one reason."""
    found = speed_results()
    absent = [make_trial("speed", row, seed) for row in ("dp", "dp-4") for seed in range(2)]
    whole = make_results(found)
    return replace(
        whole,
        trials=[*whole.trials, *absent],
        states={**whole.states, **{trial.digest: "unavailable" for trial in absent}},
        reasons={trial.digest: "DataParallel needs GPUs; 100 % of them." for trial in absent},
    )


def test_a_row_that_cannot_run_prints_na_and_the_reason_once_below() -> None:
    table = table_of(unavailable_results(), "t", "speed", ["tokens_per_s", "latency_s"])
    tex = tabular_tex(table)
    assert tex.count(r"dp & n/a\textsuperscript{a} & n/a\textsuperscript{a} \\") == 1
    assert tex.count(r"\textsuperscript{a}\,DataParallel needs GPUs; 100 \% of them.") == 1
    assert table.values, "the other rows are as they were"
    with pytest.raises(PapergenError, match="cannot run on the device where it was tried: DataParallel needs GPUs"):
        value_of(unavailable_results(), "speed/dp/tokens_per_s")


def test_a_table_without_such_rows_has_no_note() -> None:
    assert "parbox" not in tabular_tex(table_of(make_results(speed_results()), "t", "speed", ["tokens_per_s"]))


def test_a_column_with_a_power_of_ten_is_whole_tex() -> None:
    tex = tabular_tex(simple({"tiny": -2.2e-14, "zero": 0.0, "one": 1.5}))
    assert r"$-$2.2\papergenpower{-14}" in tex
    assert "phantom" not in tex, "half a power of ten is no formula"


def test_a_number_that_is_not_zero_never_prints_as_zero() -> None:
    def printed(*means: float) -> str:
        rows = tuple(
            Row(name=str(i), label=str(i), cells=(Value(key=f"k{i}", mean=mean),)) for i, mean in enumerate(means)
        )
        return str(tabular_tex(Table(name="t", columns=(Column(name="a", heading="A", show="mean"),), rows=rows)))

    assert "0.04" in printed(46123.4, 115.25, 80.7, 0.044)
    assert "power{-7}" in printed(0.0016, 0.0013, 2.4e-7)
    assert "power" not in printed(0.0016, 0.5, 12.25)


def test_a_column_of_significant_digits_aligns_its_decimal_points() -> None:
    means = {"a": 51207.3, "b": 0.04213, "c": 213.0, "d": 0.0}
    table = Table(
        name="t",
        columns=(Column(name="x", heading="x", show="mean", significant=3),),
        rows=tuple(Row(name=name, label=name, cells=(Value(key=name, mean=mean),)) for name, mean in means.items()),
        marks_best=False,
    )
    lines = [line.rstrip("\\ ") for line in str(tabular_tex(table)).splitlines() if line[:1] in means]
    printed = [line.split(" & ")[1] for line in lines]
    assert [re.sub(r"\\phantom\{[^}]*\}", "", text) for text in printed] == [r"51\,200", "0.0421", "213", "0"]
    assert printed[0] == r"51\,200\phantom{.0421}"  # as wide as the longest decimals
    assert printed[1] == r"\phantom{51\,20}0.0421"  # as wide as the longest whole part
    assert printed[2].endswith(r"213\phantom{.0421}")


def test_a_row_of_a_grid_is_called_by_its_parameters() -> None:
    assert row_label("my_row@top_p-0.9@num_beams-4") == "my row, top_p 0.9, num_beams 4"
    assert row_label("ddp@shift--1", {"ddp": "DDP"}) == "DDP, shift -1"
    for kind in ("training", "throughput", "decoding", "tasks", "pipeline"):
        labels = load_kinds(None)[kind].row_labels
        assert row_label("nucleus@top_p-0.9", labels) == "nucleus, top_p 0.9", kind


def test_a_difference_that_does_not_vary_gets_no_star() -> None:
    table = table_of(constant_gap(), "t", "speed", ["tokens_per_s"])
    assert not marked_against(table, "base").notes


def test_a_column_of_huge_numbers_has_powers_of_ten() -> None:
    tex = tabular_tex(simple({"a": 1e28, "b": 2.5e31, "c": 3.0}, direction="higher"))
    assert r"1.0\papergenpower{28}" in tex
    assert r"\textbf{2.5\papergenpower{31}}" in tex
    assert "1" + "0" * 28 in tabular_tex(simple({"a": 1e28}, decimals=0)).replace(r"\,", "")


def test_the_tabular_is_a_pylatex_object_and_checks_its_rows() -> None:
    made = tabular_of(simple({"a": 1.0}))
    assert isinstance(made, pylatex.Tabular)
    assert made.dumps_packages() == r"\usepackage{booktabs}"
    assert made.dumps().splitlines() == [
        r"\begin{tabular}{@{}lc@{}}",
        r"\toprule",
        r" & M~$\uparrow$ \\",
        r"\midrule",
        r"a & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    with pytest.raises(TableRowSizeError):
        made.add_row("only one cell")
