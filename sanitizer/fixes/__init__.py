"""Repairs of label files: planned as pure functions, journalled, applied, undone; an annotator's decisions."""
