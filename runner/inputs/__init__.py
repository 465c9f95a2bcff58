"""From data to shards: read an input once, check every rule, cut it into batches.

An input may be larger than memory, so nothing here holds more of it than a block of lines, and
request lines are opaque bytes: they are checked, counted and hashed, never rewritten.
"""
