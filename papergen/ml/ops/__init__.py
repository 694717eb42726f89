"""Tensor operations as micro-benchmarks: what each computes, how exactly, and how near to this machine's ceilings."""
