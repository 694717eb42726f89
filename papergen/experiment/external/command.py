"""`kind: command`: any program as an experiment. What may be set, and what of it decides the numbers."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from papergen.core.errors import InvalidParametersError, PapergenError, ParameterFault, did_you_mean
from papergen.core.secrets import secret_names
from papergen.experiment.api import WORDS_ONLY, From, Params
from papergen.experiment.external.metrics import ExternalSettings
from papergen.experiment.external.placeholders import BUILT_IN, fill, fill_word, names_in, used_in
from papergen.experiment.fingerprint import Code, code_of_command
from papergen.experiment.inputs import input_digests
from papergen.experiment.kind import given

READING = {"kind: command": "2"}
"""How metrics are read. The number changes when the same files would give others; then all commands run again."""

SHELL_WORDS = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1"})


def own_value(value: Any) -> Any:
    """A parameter of the author's program: a number, a text, true or false, a list of these, or `{from: NAME}`."""
    if isinstance(value, Mapping) and "from" in value:
        return From.model_validate(value)
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, bool | int | float | str | From):
            raise ValueError(
                f"{value!r} is no value for a command line: write a number, a text, true, false or a list of these."
            )
    return value


class Own(Params):
    """Only the parameters of the author's program, for the table that shows them."""

    model_config = ConfigDict(extra="allow")


class CommandSettings(ExternalSettings):
    """The settings of `kind: command`; every further name is a parameter of the command, used as `{name}`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(own_value)]] = Field(init=False)

    command: str | list[str] = Field(
        description="Program and arguments, as one text or a list; {name} is a parameter, {seed} and {out} are given."
    )
    shell: bool = Field(default=False, description="Have /bin/sh read the command; parameters are quoted for it.")
    cwd: str = Field(default=".", description="Folder the command runs in, from the project's; {out} is one too.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables set for the command; {name} and ${secret:NAME} may stand in them."
    )
    metrics_file: str = Field(
        default="metrics.json", description="File in {out} that the metrics are read from: .json, .jsonl, .csv or .tsv."
    )
    inputs: list[str] = Field(
        default_factory=list, description="Data files and folders it reads (* allowed): a changed one makes it stale."
    )
    keep: list[str] | None = Field(
        default=None,
        description="Which files of {out} are kept with the result (* allowed); all when absent.",
        json_schema_extra=WORDS_ONLY,
    )
    is_seeded: bool | None = Field(
        default=None, description="Whether seeds are repetitions; when absent, they are if {seed} is used."
    )

    @field_validator("metrics_file")
    @classmethod
    def _inside_out(cls, value: str, info: ValidationInfo) -> str:
        if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts or "{" in value:
            raise ValueError(
                f"{value!r}: name a file inside {{out}}, the folder that only this trial writes to. A program that "
                'always writes to the same place can run there: cwd: "{out}", with {project} in the command.'
            )
        return value

    @model_validator(mode="after")
    def _placeholders_and_parameters_agree(self) -> Self:
        own = list(self.model_extra or {})
        faults = [
            ParameterFault(
                f"{name}: the placeholder {{{name}}} is given already ({BUILT_IN[name]}). Choose another name.", name
            )
            for name in own
            if name in BUILT_IN
        ]
        used: set[str] = set()
        for field, texts in self._templates().items():
            for text in texts:
                try:
                    names = names_in(text)
                except ValueError as error:
                    faults.append(ParameterFault(f"{field}: {error}", field))
                    continue
                used.update(names)
                faults += [
                    ParameterFault(
                        f"{field}: {{{name}}} is no parameter. {did_you_mean(name, [*own, *BUILT_IN])} "
                        f"Add a line `{name}: ...`, or write {{{{{name}}}}} for braces.",
                        field,
                    )
                    for name in names
                    if name not in own and name not in BUILT_IN
                ]
        faults += [
            ParameterFault(
                f"{name}: nothing uses this parameter: no {{{name}}} stands in the command, its environment or cwd. "
                f"{did_you_mean(name, type(self).model_fields)}",
                name,
            )
            for name in own
            if name not in used and name not in BUILT_IN
        ]
        if "out" not in used and not faults:
            sentence = (
                "command: nothing tells the program where to write. Hand it {out}, for example "
                '--out {out} or > {out}/metrics.json (shell: true), or run it there: cwd: "{out}".'
            )
            faults.append(ParameterFault(sentence, "command"))
        if self.shell and secret_names([self.command, list(self.own().values())]):
            sentence = "command: a shell would read a secret as code: hand it over in `environment:`."
            faults.append(ParameterFault(sentence, "command"))
        if not self.shell and not faults:
            faults += [ParameterFault(sentence, "command") for sentence in self._shell_faults()]
        if faults:
            raise InvalidParametersError(*faults)
        return self

    def _templates(self) -> dict[str, list[str]]:
        command = [self.command] if isinstance(self.command, str) else self.command
        return {"command": command, "environment": list(self.environment.values()), "cwd": [self.cwd]}

    def _shell_faults(self) -> Iterator[str]:
        """What is wrong with a command that no shell reads."""
        try:
            words = self._words()
        except ValueError as error:
            yield f"command: {self.command!r}: {error}."
            return
        if not words:
            yield "command: is empty."
        for word in words:
            if word in SHELL_WORDS:
                yield f"command: {word!r} is for a shell, and none reads this command. Add a line `shell: true`."

    def _words(self) -> list[str]:
        return shlex.split(self.command) if isinstance(self.command, str) else list(self.command)

    @property
    def takes_seed(self) -> bool:
        """Whether the seeds are different runs."""
        if self.is_seeded is not None:
            return self.is_seeded
        return "seed" in used_in([text for texts in self._templates().values() for text in texts])

    @property
    def goes_on(self) -> bool:
        """Whether an attempt may go on from what an earlier one left in {scratch}."""
        return "scratch" in used_in([text for texts in self._templates().values() for text in texts])

    @property
    def files(self) -> list[str]:
        """The files in {out} that metrics are read from."""
        return list(dict.fromkeys([self.metrics_file, *(m.file for m in self.metrics.values() if m.file)]))

    def own(self) -> dict[str, Any]:
        """The parameters of the author's program."""
        return dict(self.model_extra or {})

    def argv(self, values: Mapping[str, Any]) -> list[str]:
        """The words of the command line, with every placeholder filled."""
        if self.shell:
            text = self.command if isinstance(self.command, str) else " ".join(self.command)
            return ["/bin/sh", "-c", fill(text, values, shlex.quote)]
        return [filled for word in self._words() for filled in fill_word(word, values)]

    def code(self, project: Path) -> Code:
        """The files that the command names, what the Python scripts among them import, and how metrics are read."""
        unknown = dict.fromkeys(BUILT_IN, "\0") | {"project": str(project)}
        upstream = {name: "\0" for name, value in given(self).items() if isinstance(value, From)}
        values = {**self.own(), **upstream, **unknown}
        cwd = project if "\0" in (folder := fill(self.cwd, values)) else project / folder
        if not cwd.is_dir():
            raise PapergenError(f"cwd = {self.cwd!r}: there is no such folder.", parameter="cwd")
        words = self.argv(values)
        if self.shell:
            words = shlex.split(words[-1], comments=True)
        path = fill(self.environment.get("PYTHONPATH", ""), values).split(os.pathsep)
        roots = (cwd, *(cwd / folder for folder in path if folder and "\0" not in folder))
        files = list(_files_among(words, cwd, project, roots))
        found = code_of_command(files, roots, project)
        libraries = found.libraries
        if libraries and (python := _other_python(words)):
            libraries = _versions_under(python, tuple(libraries))
        return Code({**found.files, **READING}, libraries)

    def data(self, project: Path) -> Mapping[str, str]:
        """The declared inputs."""
        return input_digests(self.inputs, project)


def _files_among(words: list[str], cwd: Path, project: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """The author's files among the words of a command: scripts, `-m package.module`, `--config=file`."""
    for before, word in zip(["", *words], words, strict=False):
        candidates = [word, word.partition("=")[2]]
        if before == "-m":
            module = word.replace(".", "/")
            candidates = [str(root / name) for root in roots for name in (f"{module}.py", f"{module}/__main__.py")]
        for text in candidates:
            if not text or "\0" in text or len(text) > 4096:
                continue
            path = Path(os.path.normpath(cwd / text))
            if path.is_file() and path.is_relative_to(project.parent) and not _is_installed(path):
                yield path
                break


def _is_installed(path: Path) -> bool:
    """Whether a file is no work of the author's: an interpreter, or part of an environment."""
    return (
        re.fullmatch(r"python[\d.]*", path.name) is not None
        or path.is_relative_to(Path(sys.prefix))
        or any(part in {"site-packages", "node_modules", ".venv"} for part in path.parts)
    )


def _other_python(words: list[str]) -> str | None:
    """The interpreter that the command starts, when it is not the one that papergen runs under."""
    for word in words:
        if Path(word).name.startswith("python"):
            found = shutil.which(word)
            return None if found is None or Path(found).parent == Path(sys.executable).parent else found
    return None


_ASK_VERSIONS = """
import importlib.metadata as m, sys
for name in sys.argv[1:]:
    for one in (name, *m.packages_distributions().get(name, [])):
        try:
            print(name, m.version(one).split("+")[0])
            break
        except m.PackageNotFoundError:
            pass
"""


@functools.cache
def _versions_under(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of libraries as another Python has them; empty when it does not answer."""
    try:
        done = subprocess.run([python, "-c", _ASK_VERSIONS, *names], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(sorted((words[0], words[1]) for line in done.stdout.splitlines() if len(words := line.split()) == 2))
