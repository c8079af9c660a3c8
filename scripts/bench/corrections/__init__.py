"""Corrections that people made in published labels, and how well a probe's scores find them."""
