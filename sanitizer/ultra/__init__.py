"""The only room that imports Ultralytics: its arguments, models, datasets and trainers, and what it drops.

Differences between versions of Ultralytics belong here. All rooms above call this one.
"""
