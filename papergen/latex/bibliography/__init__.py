"""The bibliography: a strict reader of .bib files, the file handed to BibTeX, and the run of BibTeX or biber."""
