"""Tar shards and NDJSON read as chunks of image/label pairs. Called by the scanner, and to find datasets."""
