"""NATS JetStream: a thin layer of our own over the core connection of nats-py."""
