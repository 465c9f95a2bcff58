"""From wish to fact: observe, plan, apply; one pass, and the loop of passes."""
