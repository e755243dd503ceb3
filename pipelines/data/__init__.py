"""The data: where it comes from, how it is prepared, and the one format that every family reads."""
