"""The pytest plugin of Onstage, beside the package so that loading it imports nothing of the engine."""
