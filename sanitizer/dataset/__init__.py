"""From data.yaml, folders and lists to a `Dataset`: which files belong together. Reads no label and no image.

Also the types of the tables that the rooms above fill. Called by every stage that starts from paths.
"""
