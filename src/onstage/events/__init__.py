"""What is said: events, their codecs, names, envelopes and topics."""
