"""What a finished PDF holds: pages, fonts, pictures, metadata, pages of text; read with pypdf, imported only here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.latex.tree import SourceTree

END = "papergen:end"
"""The label with which the skeletons say where the text ends."""
_LABEL = re.compile(
    r"^\\newlabel\{(?P<name>[^{}]+)\}\{\{(?P<number>(?:[^{}]|\{[^{}]*\})*)\}\{(?P<page>[^{}]*)\}", re.MULTILINE
)
_HEADING = re.compile(r"^\s*(?:[\dA-Z]+\.?\s+)?(?:References|REFERENCES|Bibliography|参考文献)\s*$", re.MULTILINE)


def is_whole(pdf: Path) -> bool:
    """Whether a PDF begins and ends as one does."""
    if not pdf.is_file():
        return False
    content = pdf.read_bytes()
    return content.startswith(b"%PDF-") and b"%%EOF" in content[-1024:]


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


@dataclass(frozen=True)
class Picture:
    """A bitmap as it is printed."""

    page: int
    width_px: int
    height_px: int
    width_in: float
    height_in: float

    @property
    def dpi(self) -> float:
        """Dots per inch, the lower of the two directions."""
        return min(self.width_px / self.width_in, self.height_px / self.height_in)


def pictures(pdf: Path) -> list[Picture]:
    """Every bitmap of a PDF at its printed size, those inside embedded figures included; masks are left out."""
    from pypdf import PdfReader

    return [
        picture
        for number, page in enumerate(PdfReader(pdf).pages, 1)
        for picture in _drawn(page, page.get("/Resources"), page.get_contents(), _IDENTITY, number, 0)
    ]


Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def _times(a: Matrix, b: Matrix) -> Matrix:
    """First `a`, then `b`."""
    return (
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
        a[4] * b[0] + a[5] * b[2] + b[4],
        a[4] * b[1] + a[5] * b[3] + b[5],
    )


def _drawn(page: Any, resources: Any, contents: Any, start: Matrix, number: int, depth: int) -> Iterator[Picture]:
    """The bitmaps that one content stream draws, under the transformation `start`."""
    from pypdf.generic import ContentStream

    if contents is None or resources is None or depth > 10:  # a damaged PDF may draw a form within itself
        return
    objects = resources.get_object().get("/XObject")
    if objects is None:
        return
    stream = contents if isinstance(contents, ContentStream) else ContentStream(contents, page.pdf)
    matrix, stack = start, []
    for operands, operator in stream.operations:
        if operator == b"q":
            stack.append(matrix)
        elif operator == b"Q" and stack:
            matrix = stack.pop()
        elif operator == b"cm":
            a, b, c, d, e, f = (float(operand) for operand in operands)
            matrix = _times((a, b, c, d, e, f), matrix)
        elif operator == b"Do" and operands[0] in objects.get_object():
            drawn = objects.get_object()[operands[0]].get_object()
            if drawn.get("/Subtype") == "/Form":
                a, b, c, d, e, f = (float(item) for item in drawn.get("/Matrix", _IDENTITY))
                inner = _times((a, b, c, d, e, f), matrix)
                yield from _drawn(page, drawn.get("/Resources", resources), drawn, inner, number, depth + 1)
            elif drawn.get("/Subtype") == "/Image" and not drawn.get("/ImageMask", False):
                width, height = (
                    (matrix[0] ** 2 + matrix[1] ** 2) ** 0.5 / 72,
                    (matrix[2] ** 2 + matrix[3] ** 2) ** 0.5 / 72,
                )
                if width and height:
                    yield Picture(number, int(drawn["/Width"]), int(drawn["/Height"]), width, height)


def page_texts(pdf: Path) -> list[str]:
    """The text of each page, in reading order as far as the PDF tells it."""
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(pdf).pages]


def page_names(pdf: Path) -> list[str]:
    """What each page calls itself (1, 2, ... or i, ii, ...), which is what LaTeX writes beside a label."""
    from pypdf import PdfReader

    return list(PdfReader(pdf).page_labels)


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
    # A subset of a font is called ABCDEF+Name. Type 3 fonts are drawings inside the PDF and have no file.
    return Font(name[7:] if name[6:7] == "+" else name, kind, is_embedded)


def pages_of_text(pdf: Path, tree: SourceTree, main: str, auxiliary: Path) -> int:
    r"""How many pages are text, as venues count them: without the references and the appendix.

    The text ends at `\label{papergen:end}`, or at a figure or table before it that LaTeX sets later; in a paper without
    that label, where the heading of the references stands. `auxiliary` is the folder with the .aux files of the build
    that gave the PDF.
    """
    pages = _pages_of_labels(auxiliary)
    if END not in pages:
        return _before_references(page_texts(pdf))
    names = page_names(pdf)
    of_text = [pages[label] for label in [END, *_labels_before_end(tree, main)] if label in pages]
    return max(names.index(page) + 1 for page in of_text if page in names)


def _pages_of_labels(auxiliary: Path) -> dict[str, str]:
    """Label -> what is printed as the number of its page."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(auxiliary.rglob("*.aux"))]
    return {match["name"]: match["page"] for text in texts for match in _LABEL.finditer(text)}


def _labels_before_end(tree: SourceTree, main: str) -> Iterator[str]:
    """The labels of the main file and of what it inputs, in reading order, up to the one that ends the text."""
    waiting = [main]
    read: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in read or name not in tree:
            continue
        read.add(name)
        inner = []
        for use in sorted(tree.uses_of(name), key=lambda use: (use.line, use.column)):
            if use.kind == "label" and use.argument == END:
                break
            if use.kind == "label":
                yield use.argument
            elif use.kind == "input":
                inner.append(use.argument if use.argument in tree else f"{use.argument}.tex")
        waiting += inner


def _before_references(texts: list[str]) -> int:
    """The page on which the references begin, the one before when they begin it, else the last page."""
    for number, text in enumerate(texts, 1):
        if match := _HEADING.search(text):
            starts_page = len(text[: match.start()].strip()) < 40  # no more than a running head stands above it
            return number - 1 if starts_page and number > 1 else number
    return len(texts)
