"""The codec: the one room that joins pictures, networks, cells, entropy coding and container."""
