"""Self-contained pages: no network, the same bytes for the same input, hostile names escaped."""
