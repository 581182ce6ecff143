"""The `lake` command. Diagnostics go to stderr; stdout carries the answer."""
