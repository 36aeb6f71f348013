"""A program in Keras's vocabulary, as a user writes it. A strict type checker reads it; the tests also run it."""

import numpy as np

import ranvier as rv
from ranvier import layers

rv.set_seed(0)
(images, y), (test_images, y_test) = rv.datasets.load_digits()
x = images.reshape(-1, 64).astype(np.float32) / 16
x_test = test_images.reshape(-1, 64).astype(np.float32) / 16

model = rv.Sequential(
    [
        layers.Dense(64, activation="relu", input_shape=(64,)),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer=rv.optimizers.Adam(learning_rate=1e-3),
    loss=rv.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
stopping = rv.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
history = model.fit(x, y, epochs=2, batch_size=32, validation_split=0.1, callbacks=[stopping], verbose=0)
losses: list[float] = history.history["loss"]
scores = model.evaluate(x_test, y_test, verbose=0)
classes = np.argmax(model.predict(x_test, verbose=0), axis=1)
model.save("digits.ranvier")
again = rv.load_model("digits.ranvier")
print(losses, scores, classes[:5], again.name)
