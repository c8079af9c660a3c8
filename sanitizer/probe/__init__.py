"""A short gradient probe: which images, and which label lines, are behind loss spikes. Needs torch and ultralytics."""
