"""The stages of the workflow, a module each: what `dvc repro` runs one after the other."""
