"""Picture files to pixels and back. Pillow lives here alone."""
