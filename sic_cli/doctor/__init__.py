"""Is this installation of sic what it should be? `environment` looks, `selftest` tries."""
