"""Known label errors in real datasets, and how well scores per image find them again."""
