"""The documentation: its pages, and in `making` what is made of the code when they are built."""
