"""The networks with NumPy: arrays in, arrays out; no files, no torch."""
