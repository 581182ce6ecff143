"""A stand-in for the folder in which a partner keeps product sheets and what it knows about Partner Central: real files."""
