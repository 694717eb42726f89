"""From report data to a PDF: escaping, Jinja, checks, the TeX driver, the scaffold."""
