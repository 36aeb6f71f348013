"""Programs whose steps are methods of their models, as Keras's guides write them, for Ranvier and for Keras itself.

``lib`` has Model, layers, ops, metrics, losses, optimizers and GradientTape. All numbers are formulas of their places, so
the programs draw nothing.
"""

import numpy as np


def wave(*shape, rate=1.0):
    """Numbers between -1 and 1 that look random."""
    return np.sin(rate * (1 + np.arange(np.prod(shape))) ** 1.3).reshape(shape).astype("float32")


X, Z, CLASSES = wave(10, 6), wave(10, 3, rate=0.7), np.arange(10) * 7 % 3


def with_weights(*models):
    """The models, with weights that are formulas of their places."""
    for model in models:
        model.set_weights([wave(*w.shape, rate=0.37 + i) * 0.8 for i, w in enumerate(model.get_weights())])
    return models[0] if len(models) == 1 else models


def network(lib, inputs, *units, last=None):
    layers = [lib.layers.Dense(n, activation="tanh") for n in units[:-1]]
    return lib.Sequential([lib.Input((inputs,)), *layers, lib.layers.Dense(units[-1], activation=last)])


def vae(lib):
    """A variational autoencoder: ``train_step`` and ``test_step`` with a tape, means of losses as metrics."""
    ops = lib.ops

    class VAE(lib.Model):  # type: ignore[name-defined, misc]  # of either library
        def __init__(self, encoder, decoder):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.total_tracker = lib.metrics.Mean(name="loss")
            self.kl_tracker = lib.metrics.Mean(name="kl_loss")

        @property
        def metrics(self):
            return [self.total_tracker, self.kl_tracker]

        def losses_of(self, data):
            x, noise = data
            mean, log_var = self.encoder(x)
            decoded = self.decoder(mean + ops.exp(0.5 * log_var) * noise)
            error = ops.mean(ops.sum(ops.square(x - decoded), axis=1))
            kl = ops.mean(ops.sum(-0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var)), axis=1))
            return error + kl, kl

        def train_step(self, data):
            with lib.GradientTape() as tape:
                loss, kl = self.losses_of(data)
            grads = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(grads, self.trainable_weights, strict=True))
            self.total_tracker.update_state(loss)
            self.kl_tracker.update_state(kl)
            return {"loss": self.total_tracker.result(), "kl_loss": self.kl_tracker.result()}

        def test_step(self, data):
            loss, kl = self.losses_of(data)
            self.total_tracker.update_state(loss)
            self.kl_tracker.update_state(kl)
            return {m.name: m.result() for m in self.metrics}

    inputs = lib.Input((6,))
    hidden = lib.layers.Dense(5, activation="tanh")(inputs)
    encoder = lib.Model(inputs, [lib.layers.Dense(3)(hidden), lib.layers.Dense(3)(hidden)])
    model = VAE(*with_weights(encoder, network(lib, 3, 5, 6)))
    model.compile(optimizer=lib.optimizers.Adam(0.01))
    return model, (X, Z), True


def gan(lib):
    """A generative adversarial network: two optimizers, and a ``compile`` of its own."""
    ops = lib.ops

    class GAN(lib.Model):  # type: ignore[name-defined, misc]  # of either library
        def __init__(self, discriminator, generator):
            super().__init__()
            self.discriminator, self.generator = discriminator, generator
            self.d_loss_tracker = lib.metrics.Mean(name="d_loss")
            self.g_loss_tracker = lib.metrics.Mean(name="g_loss")

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        def train_step(self, data):
            real, noise = data
            rows = ops.shape(real)[0]
            both = ops.concatenate([self.generator(noise), real], axis=0)
            labels = ops.concatenate([ops.ones((rows, 1)), ops.zeros((rows, 1))], axis=0)
            with lib.GradientTape() as tape:
                d_loss = self.loss_fn(labels, self.discriminator(both))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
            with lib.GradientTape() as tape:
                g_loss = self.loss_fn(ops.zeros((rows, 1)), self.discriminator(self.generator(noise)))
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}

    model = GAN(*with_weights(network(lib, 6, 5, 1), network(lib, 3, 5, 6)))
    rates = (lib.optimizers.Adam(0.02), lib.optimizers.SGD(0.1, momentum=0.5))
    model.compile(*rates, loss_fn=lib.losses.BinaryCrossentropy(from_logits=True))
    return model, (X, Z), False


def distillation(lib):
    """A student that learns from a teacher: ``compute_loss``, with the metrics of ``compile``."""
    ops = lib.ops

    class Distiller(lib.Model):  # type: ignore[name-defined, misc]  # of either library
        def __init__(self, student, teacher):
            super().__init__()
            self.student, self.teacher = student, teacher
            self.divergence = lib.losses.KLDivergence()

        def call(self, x):
            return self.student(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            soft = ops.softmax(self.teacher(x, training=False) / 3.0, axis=1)
            distilled = self.divergence(soft, ops.softmax(y_pred / 3.0, axis=1)) * 9.0
            return 0.1 * super().compute_loss(x, y, y_pred, sample_weight) + 0.9 * distilled

    student, teacher = with_weights(network(lib, 6, 4, 3), network(lib, 6, 8, 3))
    teacher.trainable = False
    model = Distiller(student, teacher)
    loss = lib.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=lib.optimizers.Adam(0.05), loss=loss, metrics=["sparse_categorical_accuracy"])
    return model, (X, CLASSES), True


def contrastive(lib):
    """Two views of each sample, which are nearer to each other than to the rest of the batch."""
    ops = lib.ops

    class Contrastive(lib.Model):  # type: ignore[name-defined, misc]  # of either library
        def __init__(self, encoder):
            super().__init__()
            self.encoder = encoder
            self.tracker = lib.metrics.Mean(name="c_loss")
            self.accuracy = lib.metrics.SparseCategoricalAccuracy(name="c_acc")

        def train_step(self, data):
            one, other = data
            with lib.GradientTape() as tape:
                a, b = (ops.normalize(self.encoder(view, training=True), axis=1) for view in (one, other))
                similarity = ops.matmul(a, ops.transpose(b)) / 0.1
                labels = ops.arange(ops.shape(a)[0])
                loss = lib.losses.sparse_categorical_crossentropy(
                    ops.concatenate([labels, labels], axis=0),
                    ops.concatenate([similarity, ops.transpose(similarity)], axis=0),
                    from_logits=True,
                )
                loss = ops.mean(loss)
            weights = self.encoder.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            self.tracker.update_state(loss)
            self.accuracy.update_state(labels, similarity)
            return {m.name: m.result() for m in (self.tracker, self.accuracy)}

    model = Contrastive(with_weights(network(lib, 6, 5, 4)))
    model.compile(optimizer=lib.optimizers.SGD(0.2))
    return model, (X, X + 0.3 * wave(10, 6, rate=2.0)), False


def gradient_penalty(lib):
    """A Wasserstein GAN: several steps of the critic in one step, and a penalty of its gradients by its inputs."""
    ops = lib.ops

    class WGAN(lib.Model):  # type: ignore[name-defined, misc]  # of either library
        def __init__(self, critic, generator):
            super().__init__()
            self.critic, self.generator = critic, generator

        def compile(self, d_optimizer, g_optimizer):
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        def penalty(self, between):
            with lib.GradientTape() as tape:
                tape.watch(between)
                scores = self.critic(between, training=True)
            gradients = tape.gradient(scores, [between])[0]
            return ops.mean(ops.square(ops.sqrt(ops.sum(ops.square(gradients), axis=1)) - 1.0))

        def train_step(self, data):
            real, noise = data
            for _ in range(2):
                with lib.GradientTape() as tape:
                    fake = self.generator(noise, training=True)
                    cost = ops.mean(self.critic(fake, training=True)) - ops.mean(self.critic(real, training=True))
                    d_loss = cost + 10.0 * self.penalty(real + 0.3 * (fake - real))
                weights = self.critic.trainable_variables
                self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
            with lib.GradientTape() as tape:
                g_loss = -ops.mean(self.critic(self.generator(noise, training=True), training=True))
            weights = self.generator.trainable_variables
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
            return {"d_loss": d_loss, "g_loss": g_loss}

    model = WGAN(*with_weights(network(lib, 6, 5, 1), network(lib, 3, 5, 6)))
    model.compile(lib.optimizers.Adam(0.01, beta_1=0.5), lib.optimizers.Adam(0.01, beta_1=0.5))
    return model, (X, Z), False


PROGRAMS = (vae, gan, distillation, contrastive, gradient_penalty)


def trained(lib, program, **options):
    """The model, and by name the results of two epochs and of `evaluate`, where the program has one."""
    model, data, evaluated = program(lib)
    history = model.fit(*data, epochs=2, batch_size=4, shuffle=False, verbose=0, **options).history
    results = model.evaluate(*data, batch_size=4, verbose=0, return_dict=True) if evaluated else {}
    return model, {
        name: [*map(float, values), *([results[name]] if results else [])] for name, values in history.items()
    }
