"""The clean view of a dataset that training reads instead: links to images, repaired labels, a data.yaml."""
