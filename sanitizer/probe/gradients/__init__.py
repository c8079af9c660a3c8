"""The shares of images, label rows and background in the gradient of one batch. `measure.py` is what others call."""
