"""Several callbacks as one: what `fit`, `evaluate` and `predict` call, and the public `CallbackList`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ranvier.module import Module
from ranvier.support.errors import likely
from ranvier.support.source_lines import warn
from ranvier.training.loop.callback import EVENTS, Callback, Logs
from ranvier.training.loop.history import History

ALIASES = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}  # older names of Keras

OURS = ("ranvier", "keras", "tensorflow")  # packages whose own methods need no check


def overridden(callback: Any, event: str) -> Callable[..., Any] | None:
    """The method of this event, unless it is the empty one of Keras's or our base class."""
    method = getattr(callback, event, None)
    function = getattr(method, "__func__", method)
    package = str(getattr(function, "__module__", "")).split(".")[0]
    empty = getattr(function, "__qualname__", "") == f"Callback.{event}"
    return None if empty and package in OURS else method


def check_methods(callback: Any) -> None:
    """Check the methods of a callback that a user wrote.

    Raises TypeError for one that does not take what its event gives, and warns of one whose name is nearly an event's.
    """
    who = type(callback).__name__
    for name in dir(callback):
        if not name.startswith("on_"):
            continue
        method = getattr(callback, name)
        if name not in EVENTS:
            near = likely(name, EVENTS)
            if near is not None and callable(method):
                warn(
                    f"{who}.{name} is never called: no event has this name. Write {near} instead.", key=f"{who}.{name}"
                )
            continue
        if str(getattr(method, "__module__", "")).partition(".")[0] in OURS or not callable(method):
            continue
        check_signature(method, f"{who}.{name}", name, f"def {name}(self, {{}})")


def check_signature(function: Callable[..., Any], what: str, event: str, fix: str) -> None:
    """Raise TypeError unless a function takes what its event gives; ``fix`` has {} in the place of its arguments."""
    given = list(inspect.signature(getattr(Callback, event)).parameters)[1:]
    try:
        signature = inspect.signature(function)
        signature.bind(*given)
    except TypeError:
        written = ", ".join("logs=None" if part == "logs" else part for part in given)
        write = fix.format(written).replace(", )", ")")
        raise TypeError(f"{what} takes {signature}, which is not what fit gives it. Write {write} instead.") from None
    except ValueError:  # a function without a signature, of C
        return


class Callbacks:
    """Several callbacks, called in their order. Any object with one of the methods is a callback."""

    def __init__(
        self,
        callbacks: Any,
        model: Module | None,
        params: dict[str, Any] | None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        given = flat(callbacks)
        for callback in given:
            if isinstance(callback, type) or not any(hasattr(callback, event) for event in EVENTS):
                fix = f"{callback.__name__}()" if isinstance(callback, type) else "a subclass of rv.callbacks.Callback"
                near = next((n for m in dir(callback) if m.startswith("on_") and (n := likely(m, EVENTS))), None)
                fix += f" with the method {near}" if near and not isinstance(callback, type) else ""
                raise TypeError(f"{callback!r} is not a callback. Write {fix} instead.")
            if type(callback).__module__.partition(".")[0] not in OURS:
                check_methods(callback)
        self.callbacks: Sequence[Any] = given
        self.params = params or {}
        self.changing = any(getattr(c, "_changes", True) for c in given)
        ordered = sorted(given, key=lambda c: bool(getattr(c, "_last", False)))
        self._methods: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
        self._late_methods: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
        for callback in ordered:
            late = bool(getattr(callback, "_last", False))
            for event in EVENTS:
                method = overridden(callback, event)
                if method is not None:
                    (self._late_methods if late else self._methods)[ALIASES.get(event, event)].append(method)
        self.intervals = [(interval(c), c) for c in ordered if getattr(c, "step_interval", None) is not None]
        for callback in given:
            if isinstance(callback, Callback):
                callback._say = say
            for name, value in (("set_model", model), ("set_params", params)):
                if value is not None and hasattr(callback, name):
                    getattr(callback, name)(value)

    def __bool__(self) -> bool:
        return bool(self.callbacks)

    def listens(self, *events: str) -> bool:
        """Whether any callback has a method for any of these events."""
        return any(self._methods[event] or self._late_methods[event] for event in events)

    def call(self, event: str, *args: Any) -> None:
        """Call the method of ``event`` on every callback that has one."""
        self.call_first(event, *args)
        self.call_last(event, *args)

    def call_first(self, event: str, *args: Any) -> None:
        for method in self._methods[event]:
            method(*args)

    def call_last(self, event: str, *args: Any) -> None:
        """Call the callbacks that save the results of all others."""
        for method in self._late_methods[event]:
            method(*args)

    def steps_to_next(self, taken: int) -> int | None:
        """The number of steps from step ``taken`` of this fit to the next ``on_step``; None if there is none."""
        return min((n - taken % n for n, _ in self.intervals), default=None)

    def step(self, taken: int, epoch: int, step: int, logs: Callable[[], Mapping[str, Any]]) -> bool:
        """Call ``on_step`` on the callbacks that are due after ``taken`` steps; returns whether there was any."""
        due = [c for n, c in self.intervals if taken % n == 0]
        if due:
            results = logs()
            for callback in due:
                callback.on_step(epoch, step, results)
        return bool(due)

    def handle_nonfinite(self, error: FloatingPointError) -> bool:
        """Whether a callback ends training without raising this error."""
        answers = [method(error) for method in (*self._methods["on_nonfinite"], *self._late_methods["on_nonfinite"])]
        return any(answers)  # after all have been called

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def set_run(self, run: Any) -> None:
        """Give the run to the callbacks that save and resume it."""
        for callback in self.callbacks:
            if hasattr(callback, "_run"):
                callback._run = run

    def states(self) -> list[tuple[str, dict[str, Any]]]:
        """The class and the state of each callback of the run, without the callbacks that save the run."""
        return [(type(c).__name__, dict(c.state()) if hasattr(c, "state") else {}) for c in self._taking_part()]

    def set_states(self, states: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for callback, (_, state) in zip(self._taking_part(), states, strict=True):
            if hasattr(callback, "set_state"):
                callback.set_state(state)

    def _taking_part(self) -> list[Any]:
        return [c for c in self.callbacks if not hasattr(c, "_run")]


class CallbackList(Callback):
    """Several callbacks as one, for a training loop that you write: each of its methods calls that of all callbacks.

    ``add_history`` adds a `History` if there is none, as ``model.history``; ``params`` are the ``params`` of the
    callbacks. `fit` takes such a list too. Only `fit` uses ``step_interval``. Raises TypeError for an object that is
    not a callback, ValueError for ``add_progbar=True``: `fit` draws the progress bar.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        if add_progbar:
            raise ValueError("CallbackList(add_progbar=True): fit(verbose=1) draws the bar. Leave it out.")
        self.callbacks = flat(callbacks)
        histories = [c for c in self.callbacks if isinstance(c, History)]
        if add_history and not histories:
            histories = [History()]
            self.callbacks += histories
        self._history = histories[-1] if histories else None
        self._all = Callbacks(self.callbacks, None, None)  # raises now for an object that is not a callback
        self.set_model(model)
        self.set_params(params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        self.model = model
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            if hasattr(callback, "set_model"):
                callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params
        for callback in self.callbacks if params else ():
            if hasattr(callback, "set_params"):
                callback.set_params(params)


def _call_all(event: str) -> Callable[..., None]:
    if "_batch_" in event or "_epoch_" in event:

        def numbered(self: CallbackList, number: int, logs: Logs = None) -> None:
            self._all.call(ALIASES.get(event, event), number, {} if logs is None else logs)

        return numbered

    def plain(self: CallbackList, logs: Logs = None) -> None:
        self._all.call(event, {} if logs is None else logs)

    return plain


for _event in EVENTS:
    if _event.endswith(("_begin", "_end")):
        setattr(CallbackList, _event, _call_all(_event))


def flat(callbacks: Any) -> list[Any]:
    """One callback, none (None), or nested lists of them, as one list."""
    if isinstance(callbacks, CallbackList):
        callbacks = callbacks.callbacks
    if isinstance(callbacks, (list, tuple)):
        return [callback for part in callbacks for callback in flat(part)]
    return [] if callbacks is None else [callbacks]


def interval(callback: Any) -> int:
    steps = callback.step_interval
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"{type(callback).__name__}.step_interval is {steps!r}. Write a whole number of steps of 1 or more instead."
        )
    return steps
