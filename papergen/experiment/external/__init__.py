"""Experiments that papergen did not write: commands that it runs, and results that exist already."""
