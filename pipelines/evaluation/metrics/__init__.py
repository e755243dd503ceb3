"""What is measured about a model: likelihood, the quality of samples, speed."""
