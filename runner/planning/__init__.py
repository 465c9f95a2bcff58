"""Pure planning: what should be done next, computed from desired, recorded and observed state."""
