"""A page's network and the thread that trains it: run, pause, one step, one epoch, from the start."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ranvier.callbacks import Callback
from ranvier.cli.page.frames import PARTS, FrameMaker
from ranvier.cli.page.guard import in_both
from ranvier.cli.page.networks import Network, build
from ranvier.cli.page.pace import FRAME
from ranvier.cli.page.settings import LOSSES, SettingError, Settings, some_of
from ranvier.cli.page.sources import Source, load, some
from ranvier.tensor import rng

SLICE = 0.02  # seconds of training between two looks at what the page wants
MOST_EPOCHS = 5000  # of one call of fit


class _Watch(Callback):
    """Ends a call of `fit` when the page wants something else, and makes frames within long epochs."""

    def __init__(self, session: Session, interval: int) -> None:
        self.session, self.step_interval = session, interval

    def on_step(self, epoch: int, step: int, logs: Any = None) -> None:
        session = self.session
        session.steps += self.step_interval or 1
        if not session.running or (session.wanted and session.left is None):  # "one epoch" is a whole one
            self.model.stop_training = True
        elif session.frames.pace.is_due():
            session.publish(session.watched)


class Session:
    """What one page trains. ``given`` has the data of the command line and of uploads, by name.

    ``publish`` hands frames to ``listener``, in the thread that trains. Other threads call the methods; each waits for
    the training to reach the end of a step.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.lock = threading.Lock()  # held by whoever uses the model
        self.changed = threading.Condition()
        self.running = self.closed = False
        self.version = 0  # of the network: how often one was built
        self.announced = False  # whether the last frame said that it trains
        self.wanted = 0  # threads that wait for the model
        self.speed = 0.0  # epochs in a second; 0 is as many as there are
        self.watched: tuple[str, ...] = PARTS  # of a frame, what the page shows while it trains
        self.listener: Callable[[dict[str, Any]], None] | None = None
        self.settings = Settings()
        self.steps = self.place = 0
        self.interval, self.step_seconds = 1, 0.0  # of the processor's time of this thread
        self.order: Any = None
        self.left: int | None = None  # epochs until training pauses by itself
        self.streams: rng.SeedState | None = None
        self.thread = threading.Thread(target=self._train, name="ranvier page", daemon=True)
        self.source: Source
        self.network: Network
        self.frames: FrameMaker
        self.thread.start()

    # --- what the page asks for -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def model_in_use(self) -> Iterator[None]:
        """Within this context the model does not train, and random numbers are the session's."""
        with self.changed:
            self.wanted += 1
        with self.lock:
            with self.changed:
                self.wanted -= 1
                self.changed.notify_all()
            if self.streams is None:
                raise SettingError("there is no network yet. Choose data and layers first.")
            with rng.seed_scope(self.streams):
                yield

    def build(self, settings: Settings) -> dict[str, Any]:
        """Take new settings: make the data and the network anew. What was before stays if they do not fit."""
        self.pause()
        source = load(settings, self.given)
        streams = rng.SeedState(settings.seed, settings.seed)
        with rng.seed_scope(streams):
            network = build(settings, source)
        with self.lock:
            self.running = False  # also where training was begun meanwhile
            self.settings, self.source, self.network, self.streams = settings, source, network, streams
            self.frames = FrameMaker(network, source)
            self.version += 1
            self.steps = self.place = 0
            self.interval, self.step_seconds, self.order = 1, 0.0, None
            with rng.seed_scope(streams):
                self.publish()
        return self.description()

    def show(self, output: int) -> dict[str, Any]:
        """Show another output of the model, which stays as it is."""
        with self.model_in_use():
            source = self.source.showing(output)
            names = LOSSES[source.task]
            self.source, self.settings = source, replace(self.settings, output=output)
            self.network.loss = self.network.loss if self.network.loss in names else names[0]
            self.frames = FrameMaker(self.network, source)
            self.version += 1
            self.publish()
        return self.description()

    def description(self) -> dict[str, Any]:
        """The data and the layers, for the page to draw."""
        from ranvier.cli.page.descriptions import described

        return described(self)

    def run(self, epochs: int | None = None) -> None:
        """Train until `pause`, or for so many epochs."""
        if self.streams is None:
            raise SettingError("there is no network yet. Choose data and layers first.")
        with self.changed:
            self.running, self.left = True, epochs
            self.send_frame({"epoch": self.steps / self.per_epoch, "step": self.steps})  # that it trains
            self.changed.notify_all()

    def pause(self) -> None:
        """Stop at the end of a step; returns when training has stopped."""
        self.running = False
        with self.lock:
            if self.announced and self.streams is not None:  # training ended between two frames
                with rng.seed_scope(self.streams), contextlib.suppress(FloatingPointError):
                    self.publish()

    def step(self) -> None:
        """One step, on the next batch of an epoch in random order."""
        self.pause()
        with self.model_in_use():
            x, y = self.source.x, self.network.y
            count = len(self.source.y)
            if self.order is None or self.place >= count:
                self.order, self.place = np.random.default_rng((self.settings.seed, self.steps)).permutation(count), 0
            rows = self.order[self.place : self.place + self.settings.batch]
            self.network.model.train_on_batch(some(x, rows), some(y, rows))
            self.place += len(rows)
            self.steps += 1
            self.publish()

    def epoch(self) -> None:
        """One epoch."""
        self.pause()
        self.run(1)

    def set_rate(self, rate: float) -> None:
        """Change the learning rate, and nothing else."""
        with self.model_in_use():
            self.network.model.optimizer.learning_rate = rate

    def watch(self, parts: Any) -> None:
        """Make these parts of frames while it trains; a network that does not train has all."""
        self.watched = some_of("watch", parts, PARTS)

    def close(self) -> None:
        """End the thread."""
        with self.changed:
            self.running, self.closed = False, True
            self.changed.notify_all()

    # --- the thread -------------------------------------------------------------------------------------------------

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.source.y) // self.settings.batch)

    def publish(self, watched: tuple[str, ...] | None = None) -> None:
        """Make a frame of the model as it is now, and hand it over: see `FrameMaker.frame`."""
        self.send_frame(self.frames.frame(self.steps / self.per_epoch, self.steps, watched))

    def send_frame(self, frame: dict[str, Any]) -> None:
        """Give the page a frame, which says whether the network trains."""
        self.announced = self.running
        if self.listener is not None:
            self.listener({"type": "frame", "running": self.announced, "version": self.version} | frame)

    def _train(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: (self.running and not self.wanted) or self.closed)
            if self.closed:
                return
            began, epochs = time.monotonic(), self._epochs()
            with self.lock:
                if not self.running:
                    continue
                try:
                    with rng.seed_scope(self.streams or 0):
                        self._round(epochs)
                except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
                    self.running = self.announced = False
                    if self.listener is not None:
                        self.listener({"type": "stopped", **in_both(str(error))})
            self._wait(began + epochs / self.speed if self.speed else 0.0)

    def _epochs(self) -> int:
        """How many epochs the next call of `fit` runs: those until the next frame."""
        seconds = self.step_seconds * self.per_epoch
        most = MOST_EPOCHS if self.left is None else self.left
        wanted = self.speed * FRAME if self.speed else self.frames.pace.left() / seconds if seconds else 1
        return max(1, min(most, round(wanted)))

    def _round(self, epochs: int) -> None:
        """A call of `fit`, from which it is learned how long a step takes; and a frame when one is due."""
        model, before = self.network.model, self.steps
        began, steps = time.thread_time(), epochs * self.per_epoch
        # Epochs that end within a frame are run without looking: many of them are one native call.
        is_short = 0 < self.step_seconds * self.per_epoch < FRAME
        model.fit(
            self.source.x, self.network.y, batch_size=self.settings.batch, epochs=epochs, verbose=0,
            callbacks=None if is_short else [_Watch(self, self.interval)], ignore=("RV",), check_finite=False,
        )  # fmt: skip
        self.order = None
        if not model.stop_training:
            self.steps = before + steps
            self.step_seconds = max(time.thread_time() - began, 1e-7) / steps
            self.interval = max(1, int(SLICE / self.step_seconds))
            if self.left is not None:
                self.left -= epochs
                self.running = self.left > 0 and self.running
        if not self.running:
            self.publish()
        elif self.frames.pace.is_due():
            self.publish(self.watched)

    def _wait(self, until: float) -> None:
        """Wait for the time of the next epoch, or for the page."""
        began = time.monotonic()
        if until > began:
            with self.changed:
                self.changed.wait_for(lambda: not self.running or self.wanted or self.closed, until - began)
            self.frames.pace.waited(time.monotonic() - began)
