"""For users' tests: a simulated world, and the contract that every store keeps."""
