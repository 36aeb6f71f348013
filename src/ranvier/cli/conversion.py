"""``ranvier convert``: a model, or weights, from one format to another."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = (".pt", ".pth", ".bin", ".safetensors", ".index.json")
ONNX = ".onnx"


def convert(source: Path, target: Path) -> None:
    """Read a file, and write it in the format that the end of the other name says.

    Raises ValueError for weights and a model, which are not each other.
    """
    import ranvier as rv

    weights = [path.name.endswith(WEIGHTS) for path in (source, target)]
    if all(weights):
        import ranvier.torch as torch

        torch.save(torch.load(source), target)
        return
    if any(weights):
        held, other = (source, target) if weights[0] else (target, source)
        raise ValueError(
            f"{held} is for weights alone, and {other} for a model. Build the network, and write "
            "model.load_state_dict(ranvier.torch.load(path)) or ranvier.torch.save(model.state_dict(), path), instead."
        )
    model = rv.from_onnx(source) if source.name.endswith(ONNX) else rv.load_model(source)
    if target.name.endswith(ONNX):
        model.export(target)
    else:
        model.save(target)
