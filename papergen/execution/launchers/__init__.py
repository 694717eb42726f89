"""Launchers: start the ranks of a trial, watch them, end them."""
