"""What people and scripts look at: pure rendering of values."""
