"""What a finished PDF holds: pages, fonts and their kinds, metadata; read with pypdf, which is imported only here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.errors import PapergenError


@dataclass(frozen=True, order=True)
class Font:
    """One font of a PDF: its name without the subset prefix, its kind (Type1, Type3, ...), whether it is inside."""

    name: str
    kind: str
    is_embedded: bool


@dataclass(frozen=True)
class PdfFacts:
    """`fonts` are sorted, those of embedded figures included; `metadata` maps Title, Author and so on to text."""

    num_pages: int
    fonts: tuple[Font, ...]
    metadata: dict[str, str]

    @property
    def has_type3(self) -> bool:
        """Whether a bitmap font is in use, which venues refuse."""
        return any(font.kind == "Type3" for font in self.fonts)

    @property
    def are_fonts_embedded(self) -> bool:
        """Whether the paper prints the same everywhere."""
        return all(font.is_embedded for font in self.fonts)


def inspect_pdf(pdf: Path) -> PdfFacts:
    """The facts of one PDF. Raises PapergenError when it is missing or damaged."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(pdf, strict=True)
        fonts = {font for page in reader.pages for font in _fonts(page.get("/Resources"), set())}
        metadata = {str(name).lstrip("/"): str(text) for name, text in (reader.metadata or {}).items()}
        return PdfFacts(len(reader.pages), tuple(sorted(fonts)), metadata)
    except FileNotFoundError as error:
        raise PapergenError(f"{pdf}: no such file.", hint="Run papergen build-pdf first.") from error
    except (PyPdfError, ValueError, KeyError) as error:
        raise PapergenError(f"{pdf}: not a whole PDF ({error}).") from error


def page_texts(pdf: Path) -> list[str]:
    """The text of each page, in reading order as far as the PDF tells it."""
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(pdf).pages]


def _fonts(resources: Any, seen: set[int]) -> Iterator[Font]:
    """The fonts of a page or a form, and of the forms (embedded figures) inside."""
    if resources is None:
        return
    resources = resources.get_object()
    if id(resources) in seen:
        return
    seen.add(id(resources))
    for reference in resources["/Font"].get_object().values() if "/Font" in resources else ():
        yield _font(reference.get_object())
    for reference in resources["/XObject"].get_object().values() if "/XObject" in resources else ():
        form = reference.get_object()
        if form.get("/Subtype") == "/Form":
            yield from _fonts(form.get("/Resources"), seen)


def _font(font: Any) -> Font:
    inner = font["/DescendantFonts"].get_object()[0].get_object() if "/DescendantFonts" in font else font
    kind = str(inner.get("/Subtype", "/?")).lstrip("/")
    descriptor = inner["/FontDescriptor"].get_object() if "/FontDescriptor" in inner else {}
    name = str(font.get("/BaseFont", font.get("/Name", "?"))).lstrip("/")
    is_embedded = kind == "Type3" or any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3"))
    return Font(name[7:] if name[6:7] == "+" else name, kind, is_embedded)
