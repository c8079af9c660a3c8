"""Reads image files: header facts, pixels, hashes and faults."""
