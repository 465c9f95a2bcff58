"""What the user wants: specs and `runner.yaml`, read strictly, every problem with its place."""
