"""Formats that code hosts and their pipelines show beside the lines of a pull request."""
