"""The label engine: turns the bytes of many label files into one table, and finds every fault with its position."""
