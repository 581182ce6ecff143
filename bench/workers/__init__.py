"""What a case runs of ours, each in a process of its own that prints its measurements as JSON."""
