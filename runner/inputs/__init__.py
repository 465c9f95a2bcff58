"""Read an input: validate its requests, hash them and divide them into shards.

An input may be larger than memory: it is read a block of lines at a time. Request lines are
validated, counted and hashed, never rewritten.
"""
