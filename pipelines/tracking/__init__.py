"""What MLflow remembers: the store, a stage's run, and the registry of models. Nobody else imports MLflow."""
