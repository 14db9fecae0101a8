"""Brokers: in memory, and NATS JetStream, under one contract."""
