"""What image files say of themselves: header facts, pixels and hashes, and what is wrong with them."""
