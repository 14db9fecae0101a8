"""What people look at, read from a store's file: the one place where the command line and the web UI have it from."""
