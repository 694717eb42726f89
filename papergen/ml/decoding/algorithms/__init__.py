"""The decoding algorithms, a file each; `algorithm.py` loads them all."""
