"""From downloaded files to results: settled rows, the final files of a run, and its record."""
