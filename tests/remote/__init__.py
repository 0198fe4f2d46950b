"""Tests of sic_cli.remote."""
