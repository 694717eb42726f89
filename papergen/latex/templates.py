"""A template: the folder a paper project is scaffolded from, and the facts about its page that a build needs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from papergen.config import checked
from papergen.errors import PapergenError, did_you_mean
from papergen.latex.escape import Engine
from papergen.resources import shipped
from papergen.yaml_strict import read_yaml

Language = Literal["en", "zh"]


class Typesetting(BaseModel):
    """How a paper in one language is compiled."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    engine: Engine = Field(description="TeX engine: pdflatex or xelatex.")
    packages: list[str] = Field(description="Files that TeX must find, as kpsewhich names them.", min_length=1)


class Template(BaseModel):
    """template.yaml of one folder of `templates/`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(description="Name of the folder, and what --template takes.")
    label: str = Field(description="What the template looks like, in one line.")
    column_width_in: float = Field(description="Width of a column in inches.", gt=0)
    text_width_in: float = Field(description="Width of the text over all columns in inches.", gt=0)
    page_limit: int | None = Field(default=None, description="Most pages the venue takes; none when absent.", ge=1)
    experiments: list[str] = Field(description="Experiments that the template has prose for, in order.", min_length=1)
    default_experiments: list[str] = Field(
        description="Those that a new project has when none is asked for.", min_length=1
    )
    languages: dict[Language, Typesetting] = Field(description="Language -> how it is compiled.", min_length=1)

    @property
    def folder(self) -> Path:
        """Where the template lies."""
        return shipped("templates") / self.name

    def typesetting(self, language: str) -> Typesetting:
        """How a paper in `language` is compiled; PapergenError when the template does not have that language."""
        for known, typesetting in self.languages.items():
            if known == language:
                return typesetting
        raise PapergenError(
            f"the template {self.name} has no language {language!r}.",
            hint=f"Known: {', '.join(sorted(self.languages))}.",
        )


def list_templates() -> list[str]:
    """The names of all templates, in alphabetical order."""
    return sorted(path.parent.name for path in shipped("templates").glob("*/template.yaml"))


def load_template(name: str) -> Template:
    """The template of that name; PapergenError with the nearest name when there is none."""
    known = list_templates()
    if name not in known:
        raise PapergenError(f"there is no template {name!r}. {did_you_mean(name, known)}")
    shown = f"templates/{name}/template.yaml"
    document = read_yaml(shipped("templates") / name / "template.yaml", shown)
    return checked(Template, {"name": name, **document.data}, document.where)
