"""Text for people: causes, findings, and the summary in plain words."""
