"""The complete program in ranvier: python train_ours.py x.npy y.npy epochs."""

import sys

import numpy as np

import ranvier as rv

x, y = (np.load(path, mmap_mode="r") for path in sys.argv[1:3])
model = rv.Sequential(
    [
        rv.layers.Dense(64, activation="relu", input_shape=(784,)),
        rv.layers.Dense(64, activation="relu"),
        rv.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=int(sys.argv[3]), verbose=0)
print(history.history["loss"][-1])
