"""Which images come from one source: copies that a tool altered, frames of one video."""
