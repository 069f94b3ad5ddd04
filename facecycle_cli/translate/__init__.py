"""The face of one picture takes on the motion of another picture or of a video.

A motion is the head's pose and the facial expression. The frames of the source pass through these
modules in this order:

- :mod:`~facecycle_cli.translate.source` follows a face and cuts it out of every frame;
- :mod:`~facecycle_cli.translate.motion` turns each crop into a motion;
- :mod:`~facecycle_cli.translate.target` says how the target's picture has to change for it: by the
  networks' flow, which :mod:`~facecycle_cli.translate.points` and
  :mod:`~facecycle_cli.translate.layer` correct;
- :mod:`~facecycle_cli.translate.stage` draws that at the picture's own resolution.

:mod:`~facecycle_cli.translate.video` joins them, and :mod:`~facecycle_cli.translate.run` reads and
writes files.
"""
