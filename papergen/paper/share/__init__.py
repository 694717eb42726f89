"""What leaves the house: archives for arXiv, Overleaf and publishers, differences of versions, numbers in a PDF."""
