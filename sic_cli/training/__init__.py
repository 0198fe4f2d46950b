"""Training: pictures in, a folder of weights out. Only the command `sic train` imports this folder."""
