"""A still photograph: its faces found, moved, drawn, and put back."""
