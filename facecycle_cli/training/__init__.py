"""Training: from crops to a checkpoint. ``session.train`` is the way in."""
