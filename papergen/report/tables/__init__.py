"""Tables as plain data, and how they become LaTeX."""
