"""Differences between versions of Ultralytics, from 8.3.200 on, in what trains and probes a model.

The rest of this room, the trainers and the probe see one shape, that of the newest version; what depends on a version
of Ultralytics, or on the kind of a model, is told apart here.
"""
