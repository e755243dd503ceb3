"""What is done to the examples of any source: split, transform, count, write."""
