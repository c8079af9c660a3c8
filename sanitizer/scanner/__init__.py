"""The main job: a dataset cut into chunks, read, judged, cached, and summed up. Called by scan, fix and preflight."""
