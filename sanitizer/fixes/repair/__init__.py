"""Repairs of one label file, as pure functions: rows read anew, clipped or removed, judged, and kept or taken back."""
