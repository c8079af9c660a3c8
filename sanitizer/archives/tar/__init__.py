"""Tar shards: which files they are, how their members are walked, unpacked and cut into chunks of pairs."""
