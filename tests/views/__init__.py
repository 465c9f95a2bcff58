"""Tests of what is read from the ledger and the outputs for the user."""
