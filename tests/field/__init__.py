"""Faults that people met in public, each kind in its whole width."""
