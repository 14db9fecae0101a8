"""A stage inside other people's programs: web frameworks, threads, and transactions of their own databases."""
