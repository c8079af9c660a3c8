"""Helpers that know nothing of datasets: reading strangers' files within limits, and text. Any room may call them."""
