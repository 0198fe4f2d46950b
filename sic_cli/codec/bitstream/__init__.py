"""The container: bytes to header, chunks and layers, and back. Standard library only.

`FORMAT.md` in this folder is the normative text; `fields.py` lists every field once.
"""
