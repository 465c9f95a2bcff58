"""Rendering: values in, text for the terminal, JSON, CSV or HTML out. Pure."""
