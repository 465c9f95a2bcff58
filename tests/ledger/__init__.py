"""Tests of the ledger, against files on disk."""
