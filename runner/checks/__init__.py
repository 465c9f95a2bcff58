"""Checks of the installation, and of whether results are still what was recorded."""
