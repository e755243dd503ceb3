"""The project against its peers, timed side by side: `python -m benchmarks.<name>`, or `make bench` for all."""
