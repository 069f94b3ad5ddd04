"""Images and video in and out of the program, and the provenance tag on everything generated."""
