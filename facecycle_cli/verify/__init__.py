"""Whether two pictures show the same person, pairs of them, and how well that is told."""
