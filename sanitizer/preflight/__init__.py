"""Scan, recipe and probe together: the checklist, what matters most, and the corrected recipe."""
