"""papergen: from experiments to a paper whose every number comes from a run that can be named."""

__version__ = "0.1.0"
