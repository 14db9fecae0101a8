"""Stores: SQLite and memory, under one contract."""
