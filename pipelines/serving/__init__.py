"""What a registered model carries to its consumers."""
