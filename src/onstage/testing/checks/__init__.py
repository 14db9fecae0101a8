"""What must hold, told from outside: shared by the simulated worlds and by tests on real processes."""
