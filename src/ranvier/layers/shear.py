"""Images sheared at random while training."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.resampling import Resampling, bounds
from ranvier.module.serialization import register_module
from ranvier.ops.functional import colors, resampling


@register_module
class RandomShear(Resampling):
    """While training, images sheared: columns by a multiple of the row, rows by a multiple of the column.

    ``x_factor`` and ``y_factor`` are numbers f from 0 to 1, for one between -f and f, or two from -1 to 1, the least
    and the most, whose sign is drawn. The other arguments are those of `RandomTranslation`. Source: Keras.
    """

    _shown = "x_factor={x_factor}, y_factor={y_factor}"

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.x_factor, self.y_factor = (
            bounds(f, what, self.name, -1, 1) for f, what in ((x_factor, "x_factor"), (y_factor, "y_factor"))
        )

    def _change(self, x: Any) -> Any:
        sign = self.draw_uniform(x, (-1.0, 1.0))
        down, right = (colors.signed(self.draw_uniform(x, f), sign) for f in (self.y_factor, self.x_factor))
        return resampling.shear(x, down, right, **self.sampling)
