"""`runner report`: one HTML page about a project, in one file.

The page loads nothing from a network. It treats prompts and responses as text that may be hostile.
It is readable without scripts, on a phone, on paper, by keyboard and with a screen reader.
"""
