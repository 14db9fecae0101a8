"""Durable choreography for Python microservices."""
