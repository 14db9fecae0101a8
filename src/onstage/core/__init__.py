"""What is decided: pure functions and values, without I/O, clock, loop or randomness."""
