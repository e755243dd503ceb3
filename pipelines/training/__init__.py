"""The training loop. It knows players and nothing about families, and runs under Ray as well as without it."""
