"""The registry of names, and classes that are made from functions."""

import inspect

import pytest

import ranvier as rv
from ranvier.optimizers import schedules
from ranvier.support.function_classes import class_of, option, options_of
from ranvier.support.registry import Configured, Registry


class Shape(Configured):
    pass


class UnitCircle(Shape):
    def config(self):
        return {}


class Square(Shape):
    def __init__(self, width):
        self.width = width

    def config(self):
        return {"width": self.width}


def registry(**options):
    return Registry("shape", Shape, (UnitCircle, Square), example="'unit_circle' or Square(2)", **options)


def test_an_object_has_all_its_names():
    shapes = registry(
        aliases={"disc": "UnitCircle", "two": lambda: Square(2)}, normalize=lambda name: name.replace("-", "_")
    )
    for name in ("UnitCircle", "unit_circle", "unit-circle", "disc"):
        assert type(shapes.get(name)) is UnitCircle
    assert shapes.get("two").width == 2
    assert shapes.get({"class_name": "Square", "config": {"width": 3}}).width == 3
    assert type(shapes.get(UnitCircle)) is UnitCircle
    square = Square(4)
    assert shapes.get(square) is square
    assert shapes.get(shapes.describe(square)).width == 4
    assert "square" not in shapes.names  # no name alone makes it


def test_a_class_that_is_registered_later_is_found():
    shapes = registry()
    assert "dot" not in shapes.names

    @shapes.register
    class Dot(Shape):
        pass

    assert type(shapes.get("dot")) is Dot


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("unit_circel", ValueError, "shape 'unit_circel' does not exist. Write 'unit_circle' instead"),
        ({"class_name": "Sqare"}, ValueError, "Write 'Square' instead"),
        (Square, TypeError, r"the shape Square needs arguments. Write Square\(width=...\) instead"),
        (3, TypeError, r"3 is no shape. Write a name or an object, such as 'unit_circle' or Square\(2\), instead"),
        (abs, TypeError, "is no shape"),
    ],
)
def test_what_is_no_object_is_refused(value, error, words):
    with pytest.raises(error, match=words):
        registry().get(value)


def test_functions_are_objects_where_they_may_be():
    assert registry(callables=True).get(abs) is abs


def test_a_subclass_of_yours_is_not_described():
    class Mine(UnitCircle):
        pass

    with pytest.raises(ValueError, match="the shape Mine is not one of Ranvier's"):
        registry().describe(Mine())


@pytest.mark.parametrize(
    "kind",
    [rv.losses, rv.metrics, rv.optimizers, rv.initializers, rv.activations, rv.regularizers, rv.constraints],
    ids=lambda module: module.__name__,
)
def test_every_vocabulary_names_the_nearest(kind):
    name = next(name for name in kind.REGISTRY.names if len(name) > 5 and name.islower())
    with pytest.raises(ValueError, match=r"does not exist\. Write"):
        kind.get(f"{name}q")


def test_schedules_are_registered_where_they_are_defined():
    assert {"Constant", "CosineDecay", "WarmUp"} <= schedules.base.REGISTRY.classes.keys()


def test_a_class_made_from_a_function_takes_its_arguments():
    def power(x: float, exponent: float = 2.0, offset: int = 0) -> float:
        return x**exponent + offset

    class Base:
        def __init__(self, **options):
            self.options = options

    options = [*options_of(power, 1).values(), option("name", None, "str | None", by_name=True)]
    Power = class_of(Base, "Power", options, __doc__=power.__doc__, __module__=__name__)
    signature = inspect.signature(Power)
    assert list(signature.parameters) == ["exponent", "offset", "name"]
    assert signature.parameters["exponent"].default == 2.0
    assert Power(3.0, name="cube").options == {"exponent": 3.0, "offset": 0, "name": "cube"}
    with pytest.raises(TypeError, match="too many positional arguments"):
        Power(1.0, 2, "cube")
