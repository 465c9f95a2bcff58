"""`runner report`: one HTML page about a project that needs nothing but itself.

No request leaves it, and nothing in it is trusted: prompts and answers are other people's text.
It can be read with scripts off, on a phone, on paper, by keyboard and by screen reader.
"""
