"""What is measured about a finished entry: a module for each question that people ask of a model.

Each has a function that takes a `Subject` and gives numbers by their names in metrics.json; what cannot be measured of
a family, or of such data, is blank or absent.
"""
