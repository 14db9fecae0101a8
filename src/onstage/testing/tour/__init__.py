"""A simulated world of several nodes: each on a file of its own, over one broker in memory, with an observer."""
