"""Models as an experiment names them, told without torch and without asking the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from papergen.core.cache import known_folder_digest
from papergen.core.errors import PapergenError
from papergen.experiment.api import From

LOADER = "papergen.ml.models:load_shared"
"""What the fork server loads a language model with."""

MOST_CHARACTERS = 96
HUB_ID = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether the Hub's rules allow `name`; one that they do not allow can only be a path.

    Letters, digits, "-", "_" and "." of ASCII, in at most two parts, neither of which begins or ends with "-" or ".".
    """
    parts = name.split("/")
    return (
        HUB_ID.fullmatch(name) is not None
        and len(name) <= MOST_CHARACTERS
        and all(part.strip(".-") == part for part in parts)
        and "--" not in name
        and ".." not in name
    )


def located_in(project: Path, model: str) -> str:
    """A folder of the project by its path; anything else as it is written."""
    folder = project / Path(model).expanduser()
    return str(folder) if folder.is_dir() else model


def model_digests(project: Path, **models: From | str | None) -> dict[str, str]:
    """Parameter -> digest of every model folder that is named by path; nothing for an upstream model or a Hub id.

    PapergenError for a path that is not there.
    """
    found = {}
    for parameter, model in models.items():
        if not isinstance(model, str):
            continue
        folder = project / Path(model).expanduser()
        if folder.is_dir():
            found[parameter] = known_folder_digest(folder)
        elif not is_hub_id(model):
            raise PapergenError(
                f"{parameter} = {model!r}: there is no such folder.",
                hint="Write {from: experiment}, the path of a model folder, or a name on the Hugging Face Hub.",
                parameter=parameter,
            )
    return found
