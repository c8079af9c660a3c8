"""Errors in single rows: what each method says of rows, places and images, and how much of it is right."""
