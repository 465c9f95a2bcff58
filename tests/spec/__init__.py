"""What people write, and what runner reads in it."""
