"""Latents <-> quantisation indices: step sizes of every level, the dead zone, what lies inside an interval."""
