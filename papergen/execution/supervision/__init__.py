"""The watch over the ranks of running trials: their reports, failures, hangs, and their orderly end."""
