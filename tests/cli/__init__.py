"""Tests of the command line, as users and scripts run it."""
