"""One module per subcommand: flags -> one call below -> what is printed.

Importing them costs no heavy library: torch, OpenCV and onnxruntime come in inside the functions.
"""
