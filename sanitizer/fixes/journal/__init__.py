"""The journal of fixes on disk: runs, their signed manifests, and new bytes staged beside the files they replace."""
