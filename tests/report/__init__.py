"""Tests of the renderings: golden files, and text from a server that must stay harmless."""
