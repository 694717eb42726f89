"""The user's road on real input: new, run-exp, build-pdf; then everything that must not get into a paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import papergen

pytestmark = pytest.mark.tex

SMALL_TRAINING = {
    "num_train_epochs: 6": "max_steps: 40\nwarmup_steps: 5\neval_every: 20\nn_layer: 1\nn_embd: 32\nvocab_size: 512",
    "seeds: [0, 1, 2]": "seeds: [0, 1]",
}
SMALL_DECODING = {
    "num_prompts: 64": "num_prompts: 6",
    "max_new_tokens: 96": "max_new_tokens: 24",
    "seeds: [0, 1, 2]": "seeds: [0, 1]",
}


def replace(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{path} has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small paper in a folder with an odd name, its experiments run and its PDF built."""
    folder = tmp_path_factory.mktemp("road") / "论文 one"
    made = papergen("new", folder.name, "--title", "Ünïcode & 100% of a_title: 中", cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    replace(folder / "paper.yaml", {"中": "x"})  # pdflatex cannot print it; test_unprintable_text_is_an_error does that
    replace(folder / "experiments" / "training.yaml", SMALL_TRAINING)
    replace(folder / "experiments" / "decoding.yaml", SMALL_DECODING)
    run = papergen("run-exp", cwd=folder)
    assert run.returncode == 0, run.stderr
    built = papergen("build-pdf", cwd=folder)
    assert built.returncode == 0, built.stderr
    assert built.stdout == f"{folder / 'build' / '论文 one.pdf'}\n"
    return folder


@pytest.fixture
def paper(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished paper that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def pdf_of(folder: Path) -> Path:
    return folder / "build" / f"{folder.name}.pdf"


def text_of(pdf: Path) -> str:
    return subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True).stdout


def test_the_pdf_is_whole(finished: Path) -> None:
    text = text_of(pdf_of(finished))
    assert "Ünïcode & 100% of a_title" in " ".join(text.split())
    assert "??" not in text
    assert "[?]" not in text
    for heading in ("Abstract", "Introduction", "Method", "Results", "Conclusion", "References", "Hyperparameters"):
        assert heading in text
    assert "Holtzman" in text
    assert "Vijayakumar" not in text  # a strategy that is not used brings no citation
    fonts = subprocess.run(["pdffonts", str(pdf_of(finished))], capture_output=True, text=True, check=True).stdout
    rows = fonts.splitlines()[2:]
    assert rows
    assert not [row for row in rows if "Type 3" in row]
    assert all(row.split()[-5] == "yes" for row in rows), fonts  # embedded


def test_numbers_in_the_prose_are_those_of_the_store(finished: Path) -> None:
    traced = papergen("trace", "decoding/nucleus/rep_4", cwd=finished)
    assert traced.returncode == 0, traced.stderr
    value = traced.stdout.split("=")[1].split()[0]
    assert value in text_of(pdf_of(finished))
    assert traced.stdout.count("decoding/nucleus seed") == 2
    assert "from training/ddp seed 0" in traced.stdout
    assert "samples.jsonl" in traced.stdout


def test_nothing_overfull(paper: Path) -> None:
    (paper / "sections" / "introduction.tex").touch()
    (paper / "sections" / "introduction.tex").write_text((paper / "sections" / "introduction.tex").read_text() + "%\n")
    again = papergen("build-pdf", cwd=paper)
    assert again.returncode == 0, again.stderr
    assert "Overfull" not in again.stderr


def test_building_again_runs_nothing_and_building_elsewhere_gives_the_same_bytes(paper: Path) -> None:
    before = pdf_of(paper).read_bytes()
    again = papergen("build-pdf", cwd=paper)
    assert "nothing had changed" in again.stderr
    shutil.rmtree(paper / "build")
    fresh = papergen("build-pdf", cwd=paper)
    assert fresh.returncode == 0, fresh.stderr
    assert pdf_of(paper).read_bytes() == before


def test_the_built_tree_compiles_without_papergen(finished: Path, tmp_path: Path) -> None:
    (tree,) = [path.parent for path in (finished / "build").glob("*/main.tex")]
    shutil.copytree(tree, tmp_path / "tree")
    for command in (
        ["pdflatex", "-interaction=nonstopmode", "main"],
        ["bibtex", "main"],
        *[["pdflatex", "-interaction=nonstopmode", "main"]] * 2,
    ):
        done = subprocess.run(command, cwd=tmp_path / "tree", capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        (
            r"\result{decoding/nuclues/rep_4}",
            [
                r"sections/abstract.tex:1: \result{decoding/nuclues/rep_4}:",
                "the experiment decoding has no row 'nuclues'. Did you mean nucleus?",
            ],
        ),
        (r"\result{decoding/nucleus/rep4}", ["sections/abstract.tex:1:", "no metric 'rep4'. Did you mean rep_4?"]),
        (
            r"\result[mp]{decoding/nucleus/rep_4}",
            ["sections/abstract.tex:1:", "there is no format 'mp'. Did you mean pm?"],
        ),
        (r"\cite{holtzman2020curius}", ["sections/abstract.tex:1:", "holtzman2020curious"]),
        (r"\ref{tab:decoding-strategie}", ["sections/abstract.tex:1:", "tab:decoding-strategies"]),
        (r"\input{tables/decoding-strategy}", ["sections/abstract.tex:1:", "tables/decoding-strategies"]),
        (r"\undefinedmacro", ["sections/abstract.tex:1:", "undefinedmacro"]),
        ("ก", ["sections/abstract.tex:1:", "U+0E01"]),
    ],
)
def test_what_may_not_reach_the_paper(paper: Path, line: str, messages: list[str]) -> None:
    path = paper / "sections" / "abstract.tex"
    path.write_text(f"{line}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode in {1, 2}, done.stderr
    for message in messages:
        assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not pdf_of(paper).exists()  # the old one lies beside it as .previous.pdf
    assert len(done.stderr.split("Error: ")[1].splitlines()) <= 26


def test_a_stale_result_stops_the_build_at_its_line_and_a_draft_marks_it(paper: Path) -> None:
    replace(paper / "experiments" / "decoding.yaml", {"top_p: 0.95": "top_p: 0.9"})
    status = papergen("status", cwd=paper)
    assert re.search(r"^stale +decoding/nucleus seed 0", status.stdout, re.MULTILINE)
    assert "top_p 0.95 -> 0.9" in status.stdout
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode in {1, 2}
    assert "sections/abstract.tex:" in done.stderr
    assert re.search(r"decoding is stale: it changed since it was run \(top_p 0\.95 -> 0\.9\): \d+ places", done.stderr)
    assert "top_p 0.95 -> 0.9" in done.stderr
    draft = papergen("build-pdf", "--draft", cwd=paper)
    assert draft.returncode == 0, draft.stderr
    assert "decoding/nucleus/rep_4" in text_of(pdf_of(paper))
    rerun = papergen("run-exp", cwd=paper)
    assert "2 trials finished, 0 failed" in rerun.stdout, rerun.stderr
    assert papergen("build-pdf", cwd=paper).returncode == 0


def test_missing_results_name_the_command_to_type(paper: Path) -> None:
    shutil.rmtree(paper / "results")
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode in {1, 2}
    assert "has not been run" in done.stderr
    assert "Run `papergen run-exp" in done.stderr


def test_a_hand_edited_result_is_refused(paper: Path) -> None:
    path = next((paper / "results" / "decoding").glob("greedy-*/result.json"))
    path.write_text(re.sub(r'("rep_4": )[\d.]+', r"\g<1>0.25", path.read_text()))
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode != 0
    assert "damaged or edited by hand" in done.stderr


def test_the_model_is_loadable_by_transformers(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = next((finished / "results" / "training").glob("ddp-seed0-*")) / "model"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("The assert statement", return_tensors="pt")
    assert model(**ids).logits.shape[-1] == len(tokenizer) == 512


def test_tex_that_is_not_there_is_exit_3_with_the_line_to_type(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(paper))
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode == 3
    assert "No pdflatex on this machine" in done.stderr
    assert "apt" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model: {from: training}", "model: ./nope", "model = './nope': there is no such folder."),
        ("corpus: embedded", "corpus: texts.txt", "texts.txt is neither a file nor a folder"),
        ("top_p: 0.95", "top_p: 1.95", "top_p = 1.95: input should be less than or equal to 1."),
        ("num_beams: 4}", "num_beams: 4, num_beam_groups: 3}", "num_beam_groups = 3 does not divide num_beams = 4"),
    ],
)
def test_bad_experiments_are_refused_before_anything_runs(paper: Path, old: str, new: str, message: str) -> None:
    path = paper / "experiments" / "decoding.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(index for index, line in enumerate(lines, 1) if old in line)
    replace(path, {old: new})
    done = papergen("run-exp", cwd=paper)
    assert done.returncode == 2
    assert f"experiments/decoding.yaml:{number}: " in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_claims_and_computed_keys(paper: Path) -> None:
    path = paper / "sections" / "conclusion.tex"
    text = path.read_text(encoding="utf-8")
    same = "ratio(decoding/human/length, decoding/human/length)"
    held = rf"\claim[decoding/human/diversity >= 0]{{Diversity is \result[2]{{{same}}}.}}"
    path.write_text(f"{text}\n{held}\n", encoding="utf-8")
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode == 0, done.stderr
    assert "Diversity is 1.00." in " ".join(text_of(pdf_of(paper)).split())
    path.write_text(
        f"{text}\n" + r"\claim[decoding/human/diversity > 2]{Diversity is above two.}" + "\n", encoding="utf-8"
    )
    done = papergen("build-pdf", cwd=paper)
    assert done.returncode != 0
    line = text.count("\n") + 2
    assert f"sections/conclusion.tex:{line}: the results do not support this claim: decoding/human/" in done.stderr
    assert "decoding/human/diversity = 0." in done.stderr
    assert not pdf_of(paper).exists()
