"""Tests of specs and `runner.yaml`."""
