"""Picture files <-> .sic files in memory, with limits, targets and verification."""
