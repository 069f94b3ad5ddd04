"""The command line: flags, one call of the library, and what is printed.

Each command has a module of its name. Importing one costs no heavy library: torch, OpenCV and
onnxruntime are imported inside the functions that need them.
"""
