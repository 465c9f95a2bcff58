"""Specs and `runner.yaml`: read, validate and describe the desired state of a project."""
