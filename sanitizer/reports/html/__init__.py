"""The HTML page: summary, plots, and a gallery of findings with pictures, to look through and to decide on."""
