"""The open detector's own training: scenes, labels, loss, loop."""
