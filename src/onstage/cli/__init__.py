"""The command line, `onstage`: one file per command. Nothing else imports it."""
