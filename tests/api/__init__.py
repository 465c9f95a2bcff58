"""Tests of the HTTP client, against servers on loopback."""
