"""The clean view of a dataset, which training reads in place of the dataset: links to images, repaired labels.

`fixing.py` plans repairs, `pairs.py` chooses what the view gets by what the scan found, and `write.py` writes it;
`cli/fix.py` and `train/` call the first.
"""
