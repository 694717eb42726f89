"""Trials as SLURM jobs: submitted as arrays, watched by files and squeue, taken over by a later run-exp."""
