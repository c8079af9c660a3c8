"""Which images and splits come from one source: copies that a tool altered, frames of one video, another export."""
