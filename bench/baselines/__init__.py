"""What ours is held against: the least that could do the same work, and the tool that one would take otherwise."""
