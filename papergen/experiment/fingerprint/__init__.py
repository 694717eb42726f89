"""Which code decides a trial's numbers, found from the source without importing it; the rest counts by version."""

from papergen.experiment.fingerprint.digest import Code, code_behind, code_of_command

__all__ = ["Code", "code_behind", "code_of_command"]
