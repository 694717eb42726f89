"""`papergen check`: what a careful colleague would look for before a paper leaves the house."""
