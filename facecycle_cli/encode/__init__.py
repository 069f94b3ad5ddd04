"""Faces as rows of a table: codes, verification vector, head pose, openings and quality.

:mod:`~facecycle_cli.encode.inputs` turns pictures, videos and folders of crops into measured faces
(:mod:`~facecycle_cli.encode.records`), :mod:`~facecycle_cli.encode.encode` runs the networks on
them, and :mod:`~facecycle_cli.encode.run` gives the rows to the table that is being written
(:mod:`~facecycle_cli.encode.partial`), from which :mod:`~facecycle_cli.encode.formats` makes the
file. The columns are in :mod:`~facecycle_cli.encode.columns`.
"""
