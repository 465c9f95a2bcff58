"""Notifications after a pass: hooks, a ping, and a file of metrics."""
