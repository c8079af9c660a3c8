"""The only room that imports Ultralytics: its arguments, models, datasets and trainers, and what it drops."""
