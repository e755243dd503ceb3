"""Rows of a table, whose columns have types: as real numbers, as what networks see, and as what networks predict."""
