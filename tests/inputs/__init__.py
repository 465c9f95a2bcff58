"""What is read before anything is sent."""
