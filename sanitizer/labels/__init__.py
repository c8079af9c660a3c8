"""The label engine: the bytes of many label files to one table, with every fault and its place."""
