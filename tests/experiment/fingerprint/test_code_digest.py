"""What decides a number is found by every road on which Python code is reached; what cannot, does not count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.fingerprint import code_behind, code_of_command
from papergen.experiment.fingerprint.locate import _source_of_library
from papergen.experiment.fingerprint.source import without_comments

KIND = """
{head}
class Params: pass
METRICS = ()
def run(params, ctx):
    {body}
def report(view):
    import drawing
    return LABEL
LABEL = "a table"
"""


def files(project: Path, head: str = "", body: str = "pass", **others: str) -> dict[str, str]:
    """The files that count for a kind with these lines, beside other files given as path -> text."""
    kind_file = project / "experiments" / "kind.py"
    kind_file.parent.mkdir(parents=True, exist_ok=True)
    kind_file.write_text(KIND.format(head=head, body=body), encoding="utf-8")
    for name, text in others.items():
        path = project / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return dict(code_behind(kind_file, project).files)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("import helper", "helper.f()"),
        ("", "import helper; helper.f()"),
        ("from helper import f", "f()"),
        ("from helper import *", "f()"),
        ("import helper  # for its effect", "pass"),
        ("try:\n    import helper\nexcept ImportError:\n    helper = None", "helper.f()"),
        ("import sys\nif sys.platform == 'linux':\n    import helper as h\nelse:\n    h = None", "h.f()"),
        ("import importlib", "importlib.import_module('helper')"),
        ("", "__import__('helper')"),
        ("import runpy", "runpy.run_path('experiments/helper.py')"),
        ("import helper\ndef inner(): return helper.f()\ndef outer(): return inner()", "outer()"),
        ("import helper\nTABLE = {}\nTABLE['f'] = helper.f", "TABLE['f']()"),
        ("import helper\nLIST = []\nLIST.append(helper.f)", "LIST[0]()"),
        ("import helper\ndef inner(): return helper.f()", "globals()['inner']()"),
        ("import helper\nclass Base:\n    def m(self): return helper.f()\nclass Mine(Base): pass", "Mine().m()"),
        ("import importlib", "importlib.import_module(params.name)"),
    ],
)
def test_a_helper_counts_however_it_is_reached(tmp_path: Path, head: str, body: str) -> None:
    one = files(tmp_path, head, body, **{"experiments/helper": "def f(): return 1\n"})
    two = files(tmp_path, head, body, **{"experiments/helper": "def f(): return 2\n"})
    assert "experiments/helper.py" in one
    assert one["experiments/helper.py"] != two["experiments/helper.py"]
    assert one["experiments/kind.py"] == two["experiments/kind.py"]


def test_packages_count_with_their_inits_relative_imports_and_helpers_of_helpers(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        "from pkg.sub.mod import f",
        "f()",
        **{
            "pkg/__init__": "X = 1\n",
            "pkg/sub/__init__": "from . import near\n",
            "pkg/sub/near": "",
            "pkg/sub/mod": "from ..other import g\nfrom .third import *\n",
            "pkg/other": "import pkg.fourth\n",
            "pkg/sub/third": "",
            "pkg/fourth": "",
            "pkg/unrelated": "",
        },
    )
    assert set(found) == {
        "experiments/kind.py",
        "pkg/__init__.py",
        "pkg/sub/__init__.py",
        "pkg/sub/near.py",
        "pkg/sub/mod.py",
        "pkg/other.py",
        "pkg/sub/third.py",
        "pkg/fourth.py",
    }


def test_a_module_chosen_when_it_runs_makes_all_candidates_count(tmp_path: Path) -> None:
    others = {"models/__init__": "", "models/small": "", "models/large": "", "unrelated": ""}
    body = "importlib.import_module(f'models.{params.name}')"
    found = files(tmp_path, "import importlib", body, **others)
    assert {"models/__init__.py", "models/small.py", "models/large.py"} < set(found)
    assert "unrelated.py" not in found


def test_what_only_reports_does_not_count(tmp_path: Path) -> None:
    before = files(tmp_path, "", "return 1", **{"experiments/drawing": "X = 1\n"})
    assert set(before) == {"experiments/kind.py"}
    kind_file = tmp_path / "experiments" / "kind.py"
    kind_file.write_text(kind_file.read_text().replace("a table", "another table"))
    assert dict(code_behind(kind_file, tmp_path).files) == before


@pytest.mark.parametrize(
    ("head", "is_counted"),
    [
        ("import random\nrandom.seed(1)", True),
        ("import sys\nsys.path.insert(0, 'lib')", True),
        ("if __name__ == '__main__':\n    print(1)", False),
        ("X = 1\n'''What X is.'''", False),
        ("# a remark", False),
    ],
)
def test_what_runs_when_the_file_is_loaded_counts(tmp_path: Path, head: str, is_counted: bool) -> None:
    assert (files(tmp_path, head) != files(tmp_path, "")) is is_counted


def test_methods_of_params_count_and_the_help_of_its_fields_does_not(tmp_path: Path) -> None:
    def of(text: str) -> dict[str, str]:
        kind_file = tmp_path / "kind.py"
        kind_file.write_text(f"class Params:\n{text}\ndef run(params, ctx):\n    return params.twice\n")
        return dict(code_behind(kind_file, tmp_path).files)

    method = "    @property\n    def twice(self):\n        return 2 * self.size\n"
    assert of("    size: int = Field(help='one')\n" + method) == of("    size: int = Field(help='two')\n" + method)
    assert of(method) != of(method.replace("2 *", "3 *"))


def test_comments_and_blank_lines_never_count_and_strings_stay_whole() -> None:
    plain = 'def f(x):\n    """Text.\n\n    # no remark   \n    """\n    return x + len("#")\n'
    noted = (
        '# a\n\ndef f(x):   # b\n    """Text.\n\n    # no remark   \n    """\n\n    # c\n    return x + len("#")  # d\n'
    )
    assert without_comments(plain) == without_comments(noted)
    assert without_comments(plain) != without_comments(plain.replace("no remark", "a remark"))
    multiline = 'x = f"""\n{1}\n\n# kept\n"""\n'
    assert without_comments(multiline) == multiline.rstrip("\n")


def test_a_library_under_work_counts_by_content_and_installed_ones_by_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "elsewhere" / "src" / "mylib_under_work"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("from .core import f\n")
    (library / "core.py").write_text("f = 1\n")
    monkeypatch.syspath_prepend(str(library.parent))
    _source_of_library.cache_clear()
    project = tmp_path / "a" / "b" / "paper"
    used = "mylib_under_work, numpy, json, click"
    found = files(project, f"import {used}", used)
    assert set(found) == {"experiments/kind.py", "mylib_under_work/__init__.py", "mylib_under_work/core.py"}
    libraries = code_behind(project / "experiments" / "kind.py", project).libraries
    assert list(libraries) == ["numpy"]
    (library / "core.py").write_text("f = 2\n")
    assert (
        files(project, "import mylib_under_work, numpy, json, click", "mylib_under_work, numpy, json, click") != found
    )


def test_the_files_of_a_command_count_with_what_they_import(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import model\nimport numpy\n")
    (tmp_path / "model.py").write_text("from layers import *\n")
    (tmp_path / "layers.py").write_text("")
    (tmp_path / "conf.yaml").write_text("lr: 1\n")
    code = code_of_command([tmp_path / "train.py", tmp_path / "conf.yaml"], (tmp_path,), tmp_path)
    assert set(code.files) == {"train.py", "model.py", "layers.py", "conf.yaml"}
    assert list(code.libraries) == ["numpy"]


def test_a_syntax_error_is_told_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match=r"helper\.py:2: "):
        files(tmp_path, "import helper", "helper", **{"experiments/helper": "x = 1\ny = = 2\n"})


def test_an_import_without_a_source_is_no_error(tmp_path: Path) -> None:
    assert set(files(tmp_path, "import no_such_module_anywhere", "no_such_module_anywhere")) == {"experiments/kind.py"}
    assert "no_such_module_anywhere" not in sys.modules
