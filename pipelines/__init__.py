"""What is done with a family: one module per stage of the workflow, and the few machines that they share."""
