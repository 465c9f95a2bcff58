"""Read-only values about jobs, batches and results, gathered from specs, ledger and outputs."""
