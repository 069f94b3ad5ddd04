"""Training: from crops to a checkpoint. It begins in :func:`.train.train`."""
