"""The clean view of a dataset, which training reads in place of the dataset: links to images, repaired labels.

`write.py` writes a view; `cli/fix.py` and `train/` call it.
"""
