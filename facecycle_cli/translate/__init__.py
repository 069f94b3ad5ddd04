"""One face performs another's motion: head pose and expression, from a video or a picture."""
