"""What is given to others: archives for arXiv, Overleaf and publishers, differences of versions, numbers in a PDF."""
