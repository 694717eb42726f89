"""`papergen check`: what a careful colleague would look for before a paper is submitted."""
