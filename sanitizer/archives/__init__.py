"""Reads tar shards and NDJSON as chunks of image/label pairs. Called by the scanner, and to find a dataset."""
