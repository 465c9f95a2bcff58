"""Tests of what decides: plans, and what they are made from."""
