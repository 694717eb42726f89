"""The documentation says what is true."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from commands import papergen

from papergen.core.layers import LAYERS

ROOT = Path(__file__).resolve().parents[1]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "architecture.md"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    # Versions of click lay the columns of their help out differently; the words must be the same.
    written = (ROOT / "docs" / page).read_text(encoding="utf-8").split()
    assert written == generator().pages()[page].split(), "run `make docs`"


def test_every_package_has_its_layer_and_its_place_on_the_page() -> None:
    folders = {path.name for path in (ROOT / "papergen").iterdir() if (path / "__init__.py").exists()}
    assert folders == {name for names in LAYERS for name in names}
    page = generator().pages()["architecture.md"]
    assert [name for name in folders if f"\n## {name}/\n" not in page] == []


def test_every_module_is_on_the_page_with_a_sentence() -> None:
    package = ROOT / "papergen"
    modules = [path for path in package.rglob("*.py") if path.name != "__init__.py"]
    page = generator().architecture_page()
    assert [path.name for path in modules if f"- `{path.relative_to(package).as_posix()}` " not in page] == []


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_experiment_of_the_guide_runs(project: Path) -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    kind, config = re.search(r"```python\n(.*?)```.*?```yaml\n(.*?)```", text, re.DOTALL).groups()  # type: ignore[union-attr]
    (project / "experiments" / "coin.py").write_text(kind, encoding="utf-8")
    (project / "experiments" / "coins.yaml").write_text(config, encoding="utf-8")
    done = papergen("run-exp", "coins", cwd=project)
    assert done.returncode == 0, done.stderr
    traced = papergen("trace", "coins/loaded/heads", cwd=project)
    assert traced.returncode == 0, traced.stderr
    assert "95 % interval" in traced.stdout
    assert traced.stdout.count("coins/loaded seed") == 5


def test_every_file_that_the_guides_show_is_part_of_a_project_that_runs(tmp_path: Path) -> None:
    project = tmp_path / "guide"
    (project / "experiments").mkdir(parents=True)
    (project / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n", encoding="utf-8")
    for page in ("experiments.md", "configuration.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for name, content in re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL | re.MULTILINE):
            (project / name).write_text(content, encoding="utf-8")
    assert len(list((project / "experiments").iterdir())) == 7
    done = papergen("run-exp", "--jobs", "2", cwd=project)
    assert done.returncode == 0, done.stderr
    rows = papergen("config", "sweep", "--json", cwd=project).stdout
    assert rows.count('"name": "plain@') == 3
    assert rows.count('"name": "fixed@') == 9
    assert rows.count("preset quick, experiments/sweep.yaml:9") == 0  # its steps are swept
    assert "published/ours/accuracy = 78" in papergen("trace", "published/ours/accuracy", cwd=project).stdout
    quick = papergen("run-exp", "sgd", "-o", "sgd.grid.lr=[0.1]", "--dry-run", cwd=project)
    assert "0 of 6 trials would be run." in quick.stdout


def test_what_help_says_of_changed_parameters_works_in_a_new_paper(tmp_path: Path) -> None:
    assert papergen("new", "p", cwd=tmp_path).returncode == 0
    told = "\n".join(papergen(command, "--help", cwd=tmp_path).stdout for command in ("run-exp", "config"))
    examples = re.findall(r"papergen (run-exp|config) ((?:\w+ )?)-o (\S+)", told)
    assert {command for command, _, _ in examples} == {"run-exp", "config"}
    for command, name, override in examples:
        arguments = [command, *name.split(), "-o", override, *(["--dry-run"] if command == "run-exp" else [])]
        done = papergen(*arguments, cwd=tmp_path / "p")
        assert done.returncode == 0, done.stderr
