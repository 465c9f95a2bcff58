"""Who is told of what has changed, and how: hooks, a ping, a file of metrics."""
