"""The complete program in Keras, on the backend of KERAS_BACKEND: python train_keras.py x.npy y.npy epochs."""

import sys

import keras
import numpy as np

x, y = (np.load(path, mmap_mode="r") for path in sys.argv[1:3])
model = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=int(sys.argv[3]), batch_size=32, verbose=0)
print(history.history["loss"][-1])
