"""Gradients taken apart: shares of images, of label rows and of the background in the gradient of one batch."""
