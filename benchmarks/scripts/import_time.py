"""Seconds of one import statement and the optional packages that it imports: import_time.py 'import ranvier'."""

import json
import sys
import time

OPTIONAL = (
    *("torch", "tensorflow", "keras", "jax", "sklearn", "scipy", "matplotlib", "pandas", "onnx", "onnxruntime"),
    *("rich", "typer", "llvmlite", "safetensors"),
)
begin = time.perf_counter()
exec(sys.argv[1])
seconds = time.perf_counter() - begin
print(json.dumps({"seconds": seconds, "optional": [name for name in OPTIONAL if name in sys.modules]}))
