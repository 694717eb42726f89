"""A template's text agrees with the experiments it comes with, in every language; its page is as wide as it says."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from papergen.config import read_experiments, read_paper
from papergen.latex.jinja import build_environment
from papergen.latex.venues.template import list_templates, load_template
from papergen.latex.venues.typesetting import typeset
from papergen.paper.scaffold import project_files, scaffold

TITLE = "A \"quoted\": 100% of $x_i$ & #1 \\ {50}\n- ok ~^ | <b> 'end'"
SUBSETS = [
    ["training"],
    ["decoding"],
    ["training", "decoding"],
    ["ops"],
    ["tasks"],
    ["pipeline"],
    ["tasks", "pipeline"],
    ["training", "decoding", "ops"],
]
CASES = list(itertools.product(["en", "zh"], SUBSETS))
RESULT = re.compile(r"\\result(?:\[[^\]]*\])?\{([^{}]*)\}")


def prose(project: Path) -> Iterator[tuple[str, str]]:
    for path in [project / "main.tex.j2", *sorted((project / "sections").iterdir())]:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield path.name, "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in lines)


@pytest.mark.parametrize(("language", "names"), CASES)
def test_prose_states_only_results_of_rows_that_are_run(language: str, names: list[str], tmp_path: Path) -> None:
    project = scaffold(tmp_path / "paper", language=language, experiments=names)
    rows = {f"{name}/{row}" for name, config in read_experiments(project).items() for row in config.rows}
    keys = [key for _, text in prose(project) for key in RESULT.findall(text)]
    assert keys
    assert {key.rpartition("/")[0] for key in keys} <= rows
    # A number that the prose types by hand could contradict the runs.
    typed = {
        word for _, text in prose(project) for word in re.findall(r"\d+\.\d+", text.partition(r"\begin{document}")[2])
    }
    assert not typed


@pytest.mark.parametrize(("language", "names"), CASES)
def test_references_within_the_text_resolve(language: str, names: list[str], tmp_path: Path) -> None:
    project = scaffold(tmp_path / "paper", language=language, experiments=names)
    text = "\n".join(text for _, text in prose(project))
    labels = re.findall(r"\\label\{([^}]*)\}", text)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"\\(?:auto|eq)?ref\{([^}]*)\}", text)) <= set(labels)
    floats = {label for label in labels if label.startswith(("tab:", "fig:"))}
    assert floats - set(re.findall(r"ref\{([^}]*)\}", text)) <= {
        f"tab:{name}-hyperparameters" for name in ("paragraphs", "backbone", "heads")
    }, "a float that the text never mentions"
    inputs = re.findall(r"\\input\{(sections/[^}]*)\}", text)
    assert sorted(inputs) == sorted(f"sections/{path.stem}" for path in (project / "sections").iterdir())
    assert "<<" not in text
    assert "<%" not in text


@pytest.mark.parametrize(("language", "names"), CASES)
def test_parts_of_experiments_left_out_are_not_asked_for(language: str, names: list[str], tmp_path: Path) -> None:
    project = scaffold(tmp_path / "p", language=language, experiments=names)
    text = "\n".join(text for _, text in prose(project))
    generated = set(re.findall(r"\{(?:tables|figures|text)/(\w+)-", text))
    models = {path.stem for path in (project / "experiments").glob("*.yaml")} - set(names)
    assert generated == set(names) | models
    assert all(f"tables/{name}-hyperparameters" in text for name in models)


def test_both_languages_say_the_same() -> None:
    for names in SUBSETS:
        keys = []
        for language in ("en", "zh"):
            files = project_files(load_template("twocolumn"), context(language, names))
            found = sorted(key for name, text in files.items() if name.endswith(".tex") for key in results(text))
            keys.append(found)
        assert keys[0] == keys[1]


def context(language: str, names: list[str]) -> dict[str, object]:
    return {
        "name": "p",
        "title": "",
        "template": "twocolumn",
        "authors": [],
        "language": language,
        "experiments": names,
    }


def results(text: bytes) -> list[str]:
    return [key for key in RESULT.findall(text.decode()) if key.isascii() and not key.startswith("experiment/")]


def test_every_template_is_well_described() -> None:
    assert "twocolumn" in list_templates()
    for name in list_templates():
        template = load_template(name)
        assert template.folder.is_dir()
        assert template.column_width_in <= template.text_width_in
        for language in template.languages:
            assert project_files(template, context(language, template.experiments))


def front_page(folder: Path, name: str, title: str, body: str) -> subprocess.CompletedProcess[str]:
    """Run pdflatex on a template's preamble, the title and a body: w.pdf in the folder."""
    project = scaffold(folder / "p", title=title, template=name)
    source = (project / "main.tex.j2").read_text(encoding="utf-8")
    preamble = source.partition(r"\begin{document}")[0]
    context = typeset(read_paper(project), project).context
    head = build_environment().from_string(preamble).render(**context)
    for other in ("papergen-results.tex", "preamble.tex"):
        (folder / other).write_text("")
    (folder / "w.tex").write_text(head + rf"\begin{{document}}\maketitle{body}\end{{document}}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "w"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


@pytest.mark.tex
@pytest.mark.parametrize("name", ["twocolumn"])
def test_a_title_that_begins_with_a_number_is_printed_whole(name: str, tmp_path: Path) -> None:
    """TeX read the digits as the rest of the number that stood before the title."""
    front_page(tmp_path, name, "3D scenes from 2 views", " Text.")
    shown = subprocess.run(["pdftotext", "w.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("3D scenes from 2 views\n")


@pytest.mark.tex
@pytest.mark.parametrize("name", ["twocolumn"])
def test_the_page_is_as_wide_as_the_template_says(name: str, tmp_path: Path) -> None:
    template = load_template(name)
    done = front_page(tmp_path, name, TITLE, r"\typeout{WIDTHS \the\columnwidth\space\the\textwidth}")
    found = re.search(r"WIDTHS ([\d.]+)pt ([\d.]+)pt", done.stdout)
    assert found
    assert float(found[1]) / 72.27 == pytest.approx(template.column_width_in, abs=0.001)
    assert float(found[2]) / 72.27 == pytest.approx(template.text_width_in, abs=0.001)
    assert "Warning: Token not allowed" not in done.stdout
