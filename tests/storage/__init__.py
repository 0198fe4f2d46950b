"""Tests of sic_cli.storage."""
