"""What a dataset is for: the task that its data.yaml declares, folders of classes, and masks in place of labels.

Called by `layout`, which finds all datasets.
"""
