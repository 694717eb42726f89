"""Every string from data reaches the PDF exactly, or as the visible code of what cannot be printed."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texlab import compiled, pdf_pages

from papergen.latex.characters import PDFLATEX_SYMBOLS, SPACES, T1
from papergen.latex.macros import is_complete
from papergen.latex.text import LINE_END, AuthorText, Engine, Tex, escape, escape_sample, escape_url

WIDE = "\\usepackage[paperwidth=500cm,paperheight=5cm,margin=1cm]{geometry}\n\\pagestyle{empty}\\parindent0pt\n"

NASTY = [
    r"The ten: \ { } $ & # % _ ^ ~",
    "brackets [1] and ]2[ <tag> |pipe| \"quoted\" 'single' `back`",
    "--- -- - ,,low,, <<french>> ?`x !`y ''two'' ``ticks``",
    "100% of $x_i^2$ & #1 \\input{/etc/passwd} \\end{document} ^^41 ~tilde",
    "\\verb|x| % not a comment",
    "naïve café Łódź Şişli Ångström œuvre ß ÿ Ğ, and ŋ",
    "αβγδε λμπσω ΓΔΣΩ",
    "≤ ≥ ≈ ± × ÷ ∞ → ← ↔ ⇒ ∈ ∀ ∃ ∂ ∇ ∑ √ −",
    "£ ¥ ¢ © ® ™ § ¶ † ‡ • … – — “double” ‘single’ «guillemets» °C µm ¹²³ ½",
    "你好,世界 and 日本",
    "emoji 😀 👩‍🔬 🇨🇳 and ☃",
    "controls \x1b[31m \x07 \x00 \x7f \x85 end",
    "bidi \u202eevil\u202c \u200bzero\u200b \ufeffbom \u2066iso\u2069",
    "combining e\u0301 n\u0303 and x\u0302 q\u0323",
    "lone surrogate \ud800 private \ue000 unassigned \u0378 noncharacter \ufdd0",
    "Кириллица עברית العربية हिन्दी ไทย",
    "H₂O x⁵ a₁ non\u2011breaking",
    "ﬁ ﬂ ligatures fi fl ffi",
    "𝒜 𝔹 math alphabets, ℝ ℕ",
    "many -----hyphens and ,,,,commas",
]


def expected(text: str, engine: Engine) -> str:
    """What the PDF must say: the text, with codes for what the engine cannot print; looks decide (NFKC)."""
    printable = T1 | set(PDFLATEX_SYMBOLS) | set(SPACES)
    out = []
    for char in unicodedata.normalize("NFC", text):
        hidden = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        lost = hidden or (char not in printable and not char.isascii())
        if engine == "xelatex":
            lost = hidden or ord(char) >= 0x1F000
        out.append(f"[U+{ord(char):04X}]" if lost else char)
    return looks("".join(out))


def looks(text: str) -> str:
    """Text as a reader sees it, without spaces."""
    plain = unicodedata.normalize("NFKC", text).translate({0x2010: "-", 0x2011: "-", 0x2206: "Δ"})
    return "".join(plain.split())


@pytest.mark.tex
def test_pdflatex_prints_every_string(tmp_path: Path) -> None:
    body = "\n\\newpage\n".join(f"Q{escape(text, 'pdflatex')}Q" for text in NASTY)
    head = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{mathptmx}\\usepackage{hyperref}\n"
    source = f"{head}{WIDE}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    done = compiled(tmp_path, {"main.tex": source})
    assert done.pages == len(NASTY)
    for page, text in zip(pdf_pages(done.pdf), NASTY, strict=True):
        assert looks(page) == f"Q{expected(text, 'pdflatex')}Q"


@pytest.mark.tex
def test_xelatex_prints_every_string_of_its_font(tmp_path: Path) -> None:
    texts = NASTY[:6] + NASTY[11:13]
    texts.append(NASTY[9])
    body = "\n\\newpage\n".join(f"Q{escape(text, 'xelatex')}Q" for text in texts)
    source = f"\\documentclass{{ctexart}}\n{WIDE}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    done = compiled(tmp_path, {"main.tex": source}, engine="xelatex")
    for page, text in zip(pdf_pages(done.pdf), texts, strict=True):
        assert looks(page) == f"Q{expected(text, 'xelatex')}Q"


COMPOSITE = set(
    "ĄąďĐđĘęĢģĩīĭĮįĶķĻļĽľŅņŖŗťŲųǐǪǫȘșȚțḍḥḷṃṇṛṣṭẞ"  # drawn from a letter and an accent
    "‒―‖⁎€Δ∆∘∙∣⋅∖⟨⟩〈〉◯"  # drawn by the glyph of another character that looks the same
    "⁒₱℞␣↦↩↪∅∉√∠∫≅≠⋮⋯⋱"  # drawn from parts, or by a glyph that the font gives no name
)
"""What pdflatex with Times prints right, and pdftotext cannot read back."""


@pytest.mark.tex
def test_each_symbol_prints_as_itself(tmp_path: Path) -> None:
    symbols = sorted((set(PDFLATEX_SYMBOLS) | T1) - COMPOSITE)
    body = "\n\\newpage\n".join(f"Q{escape(symbol, 'pdflatex')}Q" for symbol in symbols)
    head = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{mathptmx}\n"
    source = f"{head}{WIDE}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    done = compiled(tmp_path, {"main.tex": source})
    wrong = {
        symbol: text
        for page, symbol in zip(pdf_pages(done.pdf), symbols, strict=True)
        if (text := looks(page)) != looks(f"Q{symbol}Q")
    }
    assert not wrong


@given(st.text(alphabet=st.characters(), max_size=40))
def test_escaped_text_is_complete_tex(text: str) -> None:
    for engine in ("pdflatex", "xelatex"):
        tex = escape(text, engine)
        assert is_complete(tex)
        assert "\n" not in tex
        tex.encode("utf-8")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", tex)


def test_spaces_stay_spaces() -> None:
    assert escape("a  b\tc\nd\r\ne") == r"a \ b c d e"
    assert escape(" a ") == r"\ a\ "


def test_samples_show_their_line_ends() -> None:
    assert escape_sample("a\nb_c") == rf"a{LINE_END} b\_c"
    assert escape_sample("a\r\nb", newlines="space") == "a b"
    assert escape_sample("a\nb", newlines="break") == r"a\newline b"


def test_addresses_survive_as_arguments() -> None:
    assert escape_url("https://x.org/a_b?q=1&r=50%#é") == r"https://x.org/a\_b?q=1\&r=50\%25\#\%C3\%A9"
    assert escape_url("https://x.org/a%20b") == r"https://x.org/a\%20b"
    assert "\\" not in escape_url(r"https://x.org/\evil{}").replace(r"\%", "")


def test_tex_stays_tex_and_text_does_not() -> None:
    assert type(Tex("a") + Tex("b")) is Tex
    assert type(Tex("a") + "b") is str


def test_pylatex_takes_tex_as_it_is() -> None:
    from pylatex import Tabular

    table = Tabular("ll")
    table.add_row(["a & b", Tex(r"\textbf{x}")])
    assert r"a \& b&\textbf{x}" in table.dumps()


def test_xelatex_gets_only_characters_that_every_chinese_font_has() -> None:
    assert escape("你好，日本", "xelatex") == "你好，日本"
    assert "U+8A9E" in escape(
        "語", "xelatex"
    )  # not in GB 2312: many Chinese fonts lack it, and a lost glyph is an error
    assert "U+FFFD" in escape("\ufffd", "xelatex")


def test_a_rare_character_of_a_name_is_left_to_tex_and_that_of_a_sample_is_a_code() -> None:
    assert escape(AuthorText("陶喆 & 朱镕基"), "xelatex") == r"陶喆 \& 朱镕基"
    assert escape("陶喆", "xelatex") == r"陶{[}U+5586{]}\hspace{0pt}"
    assert escape(AuthorText("陶\u202e喆"), "xelatex") == r"陶{[}U+202E{]}\hspace{0pt}喆"
    assert escape(AuthorText("喆"), "pdflatex") == escape("喆", "pdflatex")


def test_where_the_engine_is_not_known_what_only_some_print_is_left() -> None:
    assert escape("α ms·%\u2009你语") == r"\ensuremath{\alpha} ms·\%\,你语"
    assert escape("a\u202eb") == r"a{[}U+202E{]}\hspace{0pt}b"


def test_packages_of_pylatex_objects_are_loaded_once_and_only_where_they_are_missing() -> None:
    from pylatex import Figure, MultiRow, Package, Tabular

    from papergen.latex.text import packages_of

    table = Tabular("ll")
    table.add_row(MultiRow(2, data="a"), "b")
    outer = Figure(data=[table])
    outer.packages.add(Package("xcolor", options="table"))
    assert set(packages_of(outer)) == {
        r"\@ifpackageloaded{multirow}{}{\usepackage{multirow}}",
        r"\@ifpackageloaded{xcolor}{}{\usepackage[table]{xcolor}}",
    }
    assert packages_of("text") == {}


def test_what_an_engine_cannot_print_of_a_pylatex_object_is_a_code() -> None:
    from pylatex import Command

    from papergen.latex.text import to_tex

    assert to_tex(Command("emph", "50% é 中"), "pdflatex") == r"\emph{50\% é {[}U+4E2D{]}\hspace{0pt}}"
    assert to_tex(Command("emph", "50% é 中"), "xelatex") == r"\emph{50\% é 中}"
