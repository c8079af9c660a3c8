"""Datasets packed into few large files, read where they are: tar shards and Ultralytics' NDJSON."""
