"""What is seen: verdicts and the ledger's fold, pure."""
