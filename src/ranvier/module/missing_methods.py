"""Methods that networks of Keras and PyTorch have and `ranvier.Module` does not, with what to write instead."""

__all__ = ["MISSING"]

_GENERATORS = "it takes generators too, with steps_per_epoch= or steps= where they do not end"
_HOOKS = "there are no hooks. Write what the hook does in forward, which may return what lies within too"
_BACKWARD_HOOKS = f"{_HOOKS}; a gradient is read from p.grad after backward()"
_HALF = "there is no half precision. Write float32 instead"

MISSING = {
    # Keras, also its older versions
    "predict_classes": "write model.predict(x).argmax(-1), or model.predict(x) > 0.5 of a single sigmoid",
    "predict_proba": "write model.predict(x), which gives the probabilities that a softmax or sigmoid at the end makes",
    "fit_generator": f"write model.fit(generator): {_GENERATORS}",
    "evaluate_generator": f"write model.evaluate(generator): {_GENERATORS}",
    "predict_generator": f"write model.predict(generator): {_GENERATORS}",
    "export": "write model.save(path), and rv.load_model(path) where it is used",
    # PyTorch
    "bfloat16": _HALF,
    "half": _HALF,
    "share_memory": "there is one kind of memory, and one process. Leave it out",
    "register_forward_hook": _HOOKS,
    "register_forward_pre_hook": _HOOKS,
    "register_backward_hook": _BACKWARD_HOOKS,
    "register_full_backward_hook": _BACKWARD_HOOKS,
    "register_full_backward_pre_hook": _BACKWARD_HOOKS,
}
