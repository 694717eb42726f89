"""From a LaTeX tree to a PDF: the engine, the sandbox, the passes, and what decides that a build succeeded."""
