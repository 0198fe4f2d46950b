"""Cells: how finely latents are cut at each level, and what lies inside a cell."""
