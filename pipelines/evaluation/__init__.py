"""What is measured about a finished entry: the formulas, what validates a training, what is kept to be shown."""
