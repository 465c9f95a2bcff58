"""Strict YAML: documents, their trees with positions, and the errors in them."""
