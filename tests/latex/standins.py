"""Stand-ins of ours for the style files that authors supply: the commands and page of the venue, none of its code."""

from __future__ import annotations

import subprocess
from pathlib import Path

from papergen.latex.venues.template import load_template

STYLES = {
    "acl.sty": r"""\newif\ifshy\DeclareOption{review}{\shytrue}\DeclareOption{preprint}{}\ProcessOptions
\RequirePackage[textwidth=6.299in,columnsep=.237in]{geometry}\twocolumn\RequirePackage{natbib,hyperref}
\bibliographystyle{acl_natbib}\AtBeginDocument{\def\And{\and}\ifshy\author{Anonymous ACL submission}\fi}""",
    "neurips_2031.sty": r"""\newif\ifshy\shytrue\DeclareOption{preprint}{\shyfalse}\DeclareOption{final}{\shyfalse}
\ProcessOptions\RequirePackage[textwidth=5.5in]{geometry}\RequirePackage{natbib}
\AtBeginDocument{\def\And{\and}\ifshy\author{Anonymous Author(s)}\fi}""",
    "icml2031.sty": r"""\newif\ifshy\shytrue\DeclareOption{accepted}{\shyfalse}\ProcessOptions
\RequirePackage[textwidth=6.75in,columnsep=.25in]{geometry}\RequirePackage{natbib,times}\newcommand{\Notice@String}{}
\def\icmltitlerunning#1{}\def\icmltitle#1{{\Large\bfseries#1\par}}\def\icmlkeywords#1{}
\newenvironment{icmlauthorlist}{\par}{\par}\def\icmlauthor#1#2{\ifshy\else#1 \fi}
\def\icmlaffiliation#1#2{\ifshy\else#2 \fi}\def\icmlcorrespondingauthor#1#2{}
\def\printAffiliationsAndNotice#1{\ifshy Anonymous Authors\par\fi}""",
    "iclr2031_conference.sty": r"""\newif\ifshy\shytrue\def\iclrfinalcopy{\shyfalse}
\RequirePackage[textwidth=5.5in]{geometry}\RequirePackage{natbib,fancyhdr}
\AtBeginDocument{\def\And{\and}\ifshy\author{Anonymous authors\\Paper under double-blind review}\fi}""",
}
BIBLIOGRAPHIES = ("acl_natbib.bst", "icml2031.bst", "iclr2031_conference.bst")
"""Names under which plainnat.bst stands in."""


def supply(project: Path, template: str) -> None:
    """Put the stand-ins that a template asks for beside paper.yaml."""
    for style in load_template(template).style_files:
        for name, text in STYLES.items():
            if Path(name).match(style.file):
                (project / name).write_text(text, encoding="utf-8")
        for name in BIBLIOGRAPHIES:
            if Path(name).match(style.file):
                found = subprocess.run(["kpsewhich", "plainnat.bst"], capture_output=True, text=True, check=True)
                (project / name).write_bytes(Path(found.stdout.strip()).read_bytes())
