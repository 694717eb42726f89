"""Figures as plain data, and the one module that draws them."""
