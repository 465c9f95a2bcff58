"""Strict YAML: documents, their trees with positions, and the problems in them."""
