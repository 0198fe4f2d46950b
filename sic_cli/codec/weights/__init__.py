"""Folders of trained weights: found by name or by the id in a file, checked, loaded."""
