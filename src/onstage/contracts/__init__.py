"""What is promised: services, handlers, processes and the manifest they make."""
