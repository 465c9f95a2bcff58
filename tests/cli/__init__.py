"""Tests of the command line, as people and scripts meet it."""
