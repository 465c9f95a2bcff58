"""Declarative, crash-safe, traceable jobs for LLM Batch APIs."""

__version__ = "0.1.0"
