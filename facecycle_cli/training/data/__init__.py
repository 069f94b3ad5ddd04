"""From folders and shards of crops to batches of pairs of views."""
