"""A new paper project, written from a template: whole or absent, and from then on the author's."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
import yaml

from papergen.config import Author
from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.files import disk_error, sync_folder, write_atomic
from papergen.core.scratch import scratch_folder
from papergen.core.shipped_files import shipped
from papergen.experiment.registry import load_kinds
from papergen.experiment.schema import EDITOR, SCHEMA_FILE, schema_text
from papergen.latex.jinja import TexEnvironment, printed, scaffold_environment
from papergen.latex.text import Tex
from papergen.latex.venues.template import Template, load_template

RENDERED = ".new"
"""Suffix of the template files that are rendered once, when the project is made; the others are copied."""


def scaffold(
    target: Path,
    *,
    template: str = "twocolumn",
    title: str = "",
    authors: Sequence[Author] = (),
    language: str = "en",
    experiments: Sequence[str] | None = None,
) -> Path:
    """Write a new paper project and return its folder, an absolute path.

    `title` and `authors` left empty become the template's own; `experiments` is a choice among those the template has
    prose for, its `default_experiments` when None. The project is built in a private folder beside `target` and renamed
    into place, so it is whole or absent however the process ends; what killed runs left there is removed. PapergenError
    when `target` is a file, a folder with something in it or the current folder, or when a name is not known.
    """
    chosen = load_template(template)
    chosen.typesetting(language, typed=f"--template {{}} --language {language}")
    folder = Path(os.path.abspath(target))  # noqa: PTH100 (resolve() would follow a link that is to be refused)
    names = _selection(chosen, experiments)
    _refuse_occupied(folder, target)
    context = {
        "name": folder.name,
        "template": os.path.relpath(chosen.folder, folder) if os.sep in template else template,
        "title": title,
        "authors": list(authors),
        "language": language,
        "experiments": names,
    }
    for text in (title, *(part for author in authors for part in (author.name, author.affiliation, author.email))):
        _refuse_undecodable(text)
    files = _for_editors(project_files(chosen, context))
    try:
        with _parents(folder), scratch_folder("new", folder.parent) as scratch:
            staging = scratch / "whole"
            for path, content in files.items():
                write_atomic(staging / path, content)
            # Replaces an empty folder; the kernel refuses one that somebody has filled meanwhile.
            staging.rename(folder)
            sync_folder(folder.parent)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            _refuse_occupied(folder, target)
        raise disk_error(error, folder) from error
    return folder


def author_from(text: str) -> Author:
    """The author that `"Name; Affiliation; email"` describes; affiliation and e-mail may be left out."""
    parts = [part.strip() for part in text.split(";")]
    if not parts[0] or len(parts) > 3:
        raise PapergenError(
            f"--author {text!r}: expected a name, then the affiliation and the e-mail where wanted.",
            hint="Type for example: --author 'A. Author; Example University; a.author@example.org'",
        )
    name, affiliation, email = [*parts, "", ""][:3]
    return Author(name=name, affiliation=affiliation, email=email)


def shell_quoted(name: str) -> str:
    """`name` as one word of a shell command; letters of any script need no quotes (`shlex.quote` would put them)."""
    plain = all(char.isalnum() or char in "-_./" for char in name)
    return name if plain else "'" + name.replace("'", "'\\''") + "'"


def project_files(template: Template, context: Mapping[str, Any]) -> dict[str, bytes]:
    """Relative path -> content of every file of a new project, in sorted order.

    The files of `project/`, with those of `project-<language>/` in the place of the ones of the same name; a template
    that extends another has that one's files wherever it has none of its own. A file whose rendered text is empty is
    left out, and so are `experiments/NAME.yaml` and `sections/NAME.tex` of an experiment that the template knows and
    the project does not have. The skeleton inputs `context["sections"]`, or the template's own sections without it.
    """
    absent = {name for name in template.experiments if name not in context["experiments"]}
    sources: dict[str, Path] = {}
    for home in template.folders:
        for folder in (home / "project", home / f"project-{context['language']}"):
            found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
            sources |= {relative.removesuffix(RENDERED): path for relative, path in found.items()}
    loader = jinja2.FileSystemLoader([*reversed(template.folders), shipped("templates")])
    environment = scaffold_environment(template.typesetting(context["language"]).engine, loader=loader)
    context = {"sections": None, **context}
    files: dict[str, bytes] = {}
    for relative, path in sorted(sources.items()):
        place = PurePosixPath(relative)
        if place.parts[0] in {"experiments", "sections"} and place.stem in absent:
            continue
        content = path.read_bytes()
        if path.name.endswith(RENDERED):
            content = _rendered(environment, relative, content.decode(), context)
            if not content.strip():
                continue
        files[relative] = content
    return files


def _for_editors(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with a schema of the experiments, and in the first line of each experiment where an editor finds it."""
    told = {
        name: EDITOR.encode() + content if name.startswith("experiments/") and name.endswith(".yaml") else content
        for name, content in files.items()
    }
    return {**told, SCHEMA_FILE: schema_text(load_kinds(None)).encode()}


def _rendered(environment: TexEnvironment, relative: str, source: str, context: Mapping[str, Any]) -> bytes:
    """One file rendered; values are written as its language needs: TeX escaped, YAML quoted, other text in one line."""
    writers: dict[str, Callable[[Any], str]] = {".yaml": yaml_scalar, ".md": _one_line, ".gitignore": _one_line}
    suffix = PurePosixPath(relative).suffix or PurePosixPath(relative).name
    writer = writers.get(suffix, lambda value: printed(value, environment.tex_engine))
    try:
        return environment.overlay(finalize=writer).from_string(source).render(context).encode()
    except jinja2.TemplateError as error:
        raise AssertionError(f"the template file {relative}{RENDERED} is wrong: {error}") from error


def yaml_scalar(value: Any) -> str:
    """`value` as one line of YAML that reads back exactly; text in double quotes whatever it holds."""
    if isinstance(value, (Tex, jinja2.Undefined)):
        return value if isinstance(value, Tex) else str(value)
    style = '"' if isinstance(value, str) else None
    dumped: str = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=2**30)
    return Tex(dumped.removesuffix("\n").removesuffix("\n..."))


def _one_line(value: Any) -> str:
    return value if isinstance(value, Tex) else Tex(" ".join(str(value).split()))


def _selection(template: Template, experiments: Sequence[str] | None) -> list[str]:
    """The chosen experiments in the template's order."""
    if experiments is None:
        return list(template.default_experiments)
    for name in experiments:
        if name not in template.experiments:
            raise PapergenError(
                f"the template {template.name} has no experiment {name!r}. {did_you_mean(name, template.experiments)}"
            )
    if not experiments:
        raise PapergenError(
            "a paper needs at least one experiment.", hint=f"Known: --experiments {','.join(template.experiments)}"
        )
    return [name for name in template.experiments if name in experiments]


def _refuse_occupied(folder: Path, target: Path) -> None:
    """PapergenError unless `folder` is absent or an empty folder that nobody stands in."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PapergenError(f"{target}: there is a file of this name already.", hint=_another(target))
    for parent in folder.parents:
        if parent.exists() and not parent.is_dir():
            raise PapergenError(f"{target}: {parent.name} is a file, not a folder.", hint=_another(Path(folder.name)))
    if not folder.is_dir():
        return
    if Path.cwd().is_relative_to(folder):
        raise PapergenError(
            f"{target}: this is the folder you are in; a new project becomes a folder of its own.",
            hint="Type: papergen new my-paper",
        )
    try:
        held = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise disk_error(error, folder) from error
    if held:
        some = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
        raise PapergenError(
            f"{target}: this folder is not empty (it holds {some}); nothing was written.", hint=_another(target)
        )


def _another(target: Path) -> str:
    name = f"{target}-2"
    return f"Take another name, for example: papergen new {shell_quoted(name)}"


def _refuse_undecodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PapergenError(
            f"{text.encode(errors='replace').decode()!r}: not UTF-8 text (character {error.start}).",
            hint="Check the terminal's locale, or leave the option out and write the text into paper.yaml.",
        ) from error


@contextlib.contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """The folders above `folder` made for the block, and those that it made removed again when the block fails."""
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
