"""Reports in every format: one module a format, looked up by name in `formats`. Called by the command line."""
