"""What the author wrote: paper.yaml and experiments/*.yaml, checked as a whole, every fault at its file and line."""

from papergen.config.checking import checked
from papergen.config.experiments import ExperimentConfig, read_experiments
from papergen.config.paper import Author, Paper, find_project, read_paper

__all__ = ["Author", "ExperimentConfig", "Paper", "checked", "find_project", "read_experiments", "read_paper"]
