"""Where files of a dataset may lie that are not where training looks: a bounded look around, and lost paths."""
