"""The ledger: every run, submission, Batch object and event, in one SQLite file."""
