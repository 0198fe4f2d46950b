"""sic: a learned image codec whose files can be cut. Importing this imports no torch."""

__version__ = "0.1.0"
