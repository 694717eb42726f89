"""What other programs left on disk as lines, column -> value: tables and the records of trackers, read without these.

A tracker's lines are one per run and step, with the columns `run`, `step`, the metrics, `params.NAME` and `tags.NAME`.
"""
