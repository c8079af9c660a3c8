"""From findings and survey to causes: what happened to the dataset as a whole. One module a family of causes."""
