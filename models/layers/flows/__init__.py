"""Bijections between data and noise. Read `bijections.py` first, then `flow.py`, whose class every flow extends."""
