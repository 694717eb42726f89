"""TeX's log read for the author: what went wrong, where, why, and what to do."""
