"""Tests of what people read: golden files, and what no server's text may do to a terminal."""
