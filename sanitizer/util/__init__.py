"""Helpers that know nothing of datasets: reading files within limits, and text. Any room may call them."""
