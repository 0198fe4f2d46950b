"""Training: pictures in, a release folder out. Only the command `sic train` imports this room."""
