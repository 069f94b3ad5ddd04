"""A neutral face from exported networks: onnxruntime and numpy are all it takes.

    facecycle checkpoint export --onnx onnx/
    facecycle preprocess photo.jpg -o crops/
    python examples/onnx_neutralize.py onnx/ crop.png neutral.png

(The pictures themselves are read and written with Pillow here.)
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def neutralize(folder, faces):
    """Aligned faces, uint8 RGB (N, 64, 64, 3) -> the same faces, neutral and frontal."""
    encoder, flow_decoder, decoder = (
        onnxruntime.InferenceSession(Path(folder, f"{name}.onnx"))
        for name in ("expression_encoder", "flow_decoder", "expression_decoder")
    )
    metadata = encoder.get_modelmeta().custom_metadata_map
    mean, std = (np.array(json.loads(metadata[key]), np.float32) for key in ("mean", "std"))
    x = ((faces / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)

    (code,) = encoder.run(None, {"x": x})
    flow, _backflow = flow_decoder.run(None, {"expression_code": code})
    (image,) = decoder.run(None, {"x": x, "flow": flow})

    rgb = (image.transpose(0, 2, 3, 1) * std + mean) * 255
    return rgb.round().clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    from PIL import Image

    onnx, crop, neutral = sys.argv[1:]
    face = Image.open(crop).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)
    Image.fromarray(neutralize(onnx, np.array(face)[None])[0]).save(neutral)
