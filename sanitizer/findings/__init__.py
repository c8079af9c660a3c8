"""The finding, the baseline that puts findings off, the report of a scan, and the store of very many findings."""
