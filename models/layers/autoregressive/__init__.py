"""Products of conditionals p(x_i | x_<i). Read `chain.py` first, whose class every such family extends."""
