"""The work that the author named by DOI, arXiv id or ACL id, and its BibTeX from doi.org, arXiv or the ACL Anthology.

With a limit on time and size, and one clear message offline.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

from papergen import __version__
from papergen.core.errors import MachineError, PapergenError, nearest
from papergen.report import citations

BASES: Mapping[str, tuple[str, str]] = {
    "doi": ("PAPERGEN_DOI_URL", "https://doi.org"),
    "arxiv": ("PAPERGEN_ARXIV_URL", "https://export.arxiv.org/api/query"),
    "acl": ("PAPERGEN_ACL_URL", "https://aclanthology.org"),
}
"""Kind -> the environment variable that replaces its address, and the address."""
MAX_BYTES = 2**20
_ATOM = {"a": "http://www.w3.org/2005/Atom", "x": "http://arxiv.org/schemas/atom"}


Kind = Literal["doi", "arxiv", "acl", "built-in"]

_DOI = re.compile(r"\b(10\.\d{4,9}/[^\s\"<>{}]+)")
_ARXIV = re.compile(r"(?<![\d.])(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?(?![\d])")
_ACL = re.compile(r"\b(?P<id>[A-Z]\d{2}-\d{4}|(?:19|20)\d{2}\.[a-z0-9_]+-[a-z0-9_]+\.\d+)\b")


@dataclass(frozen=True)
class Identifier:
    """One work as its registry names it."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return {"doi": "DOI ", "arxiv": "arXiv:", "acl": "ACL ", "built-in": ""}[self.kind] + self.id


def identify(text: str) -> Identifier:
    """The work that a text names; PapergenError says what would be understood."""
    word = unquote(text.strip())
    if word in citations.known():
        return Identifier("built-in", word)
    arxiv_doi = re.search(r"10\.48550/arxiv\.(\S+)", word, re.IGNORECASE)
    if arxiv_doi and (match := _ARXIV.search(arxiv_doi[1])):
        return Identifier("arxiv", match["id"])
    if match := _DOI.search(word):
        return Identifier("doi", match[1].rstrip(".,;)").lower())
    if (match := _ACL.search(word)) and "arxiv" not in word.lower():
        return Identifier("acl", match["id"])
    if match := _ARXIV.search(word):
        return Identifier("arxiv", match["id"])
    close = nearest(word, citations.known()) if len(word) > 5 else []
    raise PapergenError(
        f"{text}: no DOI, arXiv id, ACL Anthology id or built-in key."
        + (f" Did you mean {close[0]}?" if close else ""),
        hint="For example 10.18653/v1/P18-1082, 1904.09751, P18-1082; or paste one: papergen cite add --bibtex - .",
    )


def fetch(work: Identifier, *, timeout_s: float) -> str:
    """The BibTeX entry of a work, as its registry gives it.

    Raises PapergenError when the registry knows no such work, MachineError (exit 3) when it cannot be reached in time.
    """
    variable, address = BASES[work.kind]
    base = os.environ.get(variable, address).rstrip("/")
    if work.kind == "doi":
        text = _get(f"{base}/{quote(work.id, safe='/')}", "application/x-bibtex", work, timeout_s)
    elif work.kind == "acl":
        text = _get(f"{base}/{work.id}.bib", "*/*", work, timeout_s)
    else:
        text = _from_atom(_get(f"{base}?id_list={quote(work.id)}", "application/atom+xml", work, timeout_s), work)
    if not re.search(r"@\s*\w+\s*[{(]", text):
        raise PapergenError(f"{work}: the answer of {base} is no BibTeX.", hint="Look the entry up and paste it.")
    return text


def _get(url: str, accept: str, work: Identifier, timeout_s: float) -> str:
    """The text at an address, in `timeout_s` at most whatever the network does."""
    if not url.startswith(("http://", "https://")):
        raise PapergenError(f"{url}: not an address that is fetched.")
    answer: list[bytes | Exception] = []

    def work_on() -> None:
        request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": f"papergen/{__version__}"})
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                answer.append(response.read(MAX_BYTES + 1))
        except urllib.error.HTTPError as error:
            error.close()
            answer.append(error)
        except Exception as error:  # noqa: BLE001 (handed to the waiting thread)
            answer.append(error)

    # Neither a name server that is silent nor a server that sends a byte a minute ends by a socket's own timeout.
    thread = threading.Thread(target=work_on, name="papergen-fetch", daemon=True)
    thread.start()
    thread.join(timeout_s)
    found = answer[0] if answer else TimeoutError(f"no answer within {timeout_s:g} s")
    if isinstance(found, urllib.error.HTTPError) and found.code in {404, 400, 410}:
        raise PapergenError(f"{work}: {url.split('?')[0]} knows no such work.", hint="Check the id.")
    if isinstance(found, Exception):
        reason = getattr(found, "reason", None) or found
        raise MachineError(
            f"{work}: {url.split('?')[0]} could not be reached: {reason}.",
            hint="Without a network, paste the entry: papergen cite add --bibtex - , then Ctrl-D; or look for it with "
            "papergen cite search among those that papergen brings.",
        )
    if len(found) > MAX_BYTES:
        raise PapergenError(f"{work}: the answer is larger than {MAX_BYTES // 2**20} MiB.")
    return found.decode("utf-8", errors="replace")


def _from_atom(text: str, work: Identifier) -> str:
    """The BibTeX of an arXiv record."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PapergenError(f"{work}: the answer of arXiv is not its own format.")
    try:
        entry = ET.fromstring(text).find("a:entry", _ATOM)
    except ET.ParseError as error:
        raise PapergenError(f"{work}: the answer of arXiv cannot be read ({error}).") from error
    if entry is None or entry.find("a:author", _ATOM) is None:
        raise PapergenError(f"{work}: arXiv knows no such paper.", hint="Check the id.")

    def words(path: str) -> str:
        return " ".join((entry.findtext(path, "", _ATOM)).split())

    authors = [" ".join((node.text or "").split()) for node in entry.findall("a:author/a:name", _ATOM)]
    category = entry.find("x:primary_category", _ATOM)
    doi = words("x:doi")
    fields = {
        "author": " and ".join(authors),
        "title": words("a:title"),
        "year": words("a:published")[:4],
        "eprint": work.id,
        "archivePrefix": "arXiv",
        "primaryClass": "" if category is None else category.get("term", ""),
        "doi": doi,
        "url": f"https://arxiv.org/abs/{work.id}",
    }
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{fetched,\n{body}}}\n"
