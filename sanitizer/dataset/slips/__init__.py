"""What somebody meant to write in a data.yaml, and the line to write instead."""
