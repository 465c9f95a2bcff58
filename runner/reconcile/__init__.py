"""Everything that acts: observe, plan, apply; one pass, and the loop of passes."""
