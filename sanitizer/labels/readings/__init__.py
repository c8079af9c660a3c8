"""Readings: other ways in which a label row may be written, and the same row as training reads it. Pure functions.

A reading says nothing of whether it is the right one for a dataset: `sanitizer.diagnosis` weighs that over all rows,
and `sanitizer.fixes` writes rows anew by the reading that a cause names.
"""

from sanitizer.labels.readings.reading import Reading, SizePx
from sanitizer.labels.readings.table import READINGS, ROW_BY_ROW

__all__ = ["READINGS", "ROW_BY_ROW", "Reading", "SizePx"]
