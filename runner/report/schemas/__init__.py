"""The JSON that runner prints: a module for each output, and the JSON Schema made from it.

The modules describe each field once. The functions that build an output return these types, so
the type checker compares code and schema; docs/schemas.py writes the `.json` files. Nothing
imports the modules when a command runs: only annotations use them.

Fields are added, never changed or removed. `Output` is the whole output.
"""
