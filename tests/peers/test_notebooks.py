"""A notebook that runs: figures are images, and many epochs are one display that changes."""

import pytest

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = [
    """
import numpy as np, ranvier as rv
model = rv.Sequential([rv.Input((2,)), rv.layers.Dense(1)])
model.compile("sgd", "mse", engine="reference")
history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=300)""",
    "history.plot()",
    "model.plot()",
    "history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=30, verbose=2)",
    "rv.pictures.confusion_matrix(np.eye(2), ['猫', '狗'])",
]


def test_figures_are_images_and_epochs_are_one_display():
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(made, timeout=120).execute()
    fitted, *figures, lines, chinese = [
        [o for o in cell["outputs"] if o.get("name") != "stderr"] for cell in made["cells"]
    ]
    (shown,) = fitted
    assert shown["output_type"] == "display_data"
    text = shown["data"]["text/plain"]
    assert "Epoch 300/300" in text
    assert "... 288 lines before" in text
    for outputs in (*figures, chinese):
        (figure,) = outputs
        assert figure["data"]["image/png"].startswith("iVBOR")
    assert "".join(o["text"] for o in lines).count("\n") == 30
    assert {o["output_type"] for o in lines} == {"stream"}
