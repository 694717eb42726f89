"""`papergen cite`: entries into the author's references.bib by DOI, arXiv id, ACL id or pasted BibTeX."""
