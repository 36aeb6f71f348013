"""Seconds of the first `fit` of one step, in a new process: compile_images.py x.npy y.npy.

The shared library of LLVM is loaded before, as an import. Its time is printed too, and that of a second `fit`.
"""

import json
import sys
import time

import numpy as np

import ranvier as rv

x, y = (np.load(path)[:128] for path in sys.argv[1:3])
times = [time.perf_counter()]
import llvmlite.binding  # noqa: E402, F401

times.append(time.perf_counter())
model = rv.Sequential(
    [
        rv.layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)),
        rv.layers.MaxPooling2D(2),
        rv.layers.Conv2D(64, 3, activation="relu"),
        rv.layers.MaxPooling2D(2),
        rv.layers.Flatten(),
        rv.layers.Dropout(0.5),
        rv.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
times.append(time.perf_counter())
history = model.fit(x, y, epochs=1, batch_size=128, verbose=0)
times.append(time.perf_counter())
model.fit(x, y, epochs=1, batch_size=128, verbose=0)
times.append(time.perf_counter())
_, llvm, build, first, second = np.diff(times, prepend=times[0])
report = {"seconds": first, "llvm": llvm, "build": build, "second": second, "loss": history.history["loss"][-1]}
print(json.dumps(report))
