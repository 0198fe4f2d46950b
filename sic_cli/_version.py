"""The version, in one place: the package, its metadata and `sic --version` read it here."""

__version__ = "0.1.0"
