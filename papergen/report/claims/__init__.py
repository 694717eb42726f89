"""Claims: sentences of the paper tied to an assertion over the results."""
