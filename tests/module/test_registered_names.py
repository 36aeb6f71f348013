"""The names of the library's layers are taken, whether or not they are imported yet."""

import subprocess
import sys

import pytest

CLASH = """
import ranvier as rv

class {name}(rv.Module):
    def forward(self, x):
        return x

try:
    {statement}
except (TypeError, ValueError) as error:
    print(error)
print(rv.layers.{name}.__module__)
"""


@pytest.mark.parametrize("name", ["Dropout", "Operation"])
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("rv.register_module({name})", "the name '{name}' belongs to <class 'ranvier.layers."),
        ("rv.Sequential([{name}()]).to_json()", "is not registered, and '{name}' is the name of another one"),
    ],
)
def test_a_class_of_yours_does_not_take_the_name_of_a_layer(name, statement, words):
    code = CLASH.format(name=name, statement=statement.format(name=name))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = result.stdout.splitlines()
    assert words.format(name=name) in first
    assert second.startswith("ranvier.layers.")
