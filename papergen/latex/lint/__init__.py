"""What can be known of a LaTeX tree before TeX runs."""
