"""From downloaded files to results: the state of each row, the final files, the record of a run."""
