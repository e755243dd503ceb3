"""params.yaml: its classes, its checks and its errors; profiles; the plan that is made of it."""
