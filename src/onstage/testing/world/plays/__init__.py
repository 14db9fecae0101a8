"""What only some worlds play: one module for each feature, drawn by the seed."""
