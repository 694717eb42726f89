"""One rank of one trial, in a process of its own: trial.json in, outcome.json out, JSON lines to its launcher."""
