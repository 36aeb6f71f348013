"""Forecast the temperature of the sea in the region of El Niño for 12 months, from the 36 months before.

    python examples/series.py --seed 1

The last fifth of the months is for testing. The data come with statsmodels.
"""

import argparse

import numpy as np
from statsmodels.datasets import elnino

import ranvier as rv

PAST, AHEAD, YEAR = 36, 12, 12


def main(words: list[str] | None = None) -> dict[str, float]:
    """Train, and return the root mean squared error of each forecast in degrees Celsius."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    rv.set_seed(parser.parse_args(words).seed)
    degrees = elnino.load_pandas().data.iloc[:, 1:].to_numpy(np.float32).ravel()  # a row for each year
    split = len(degrees) * 4 // 5
    normal = (degrees - degrees[:split].mean()) / degrees[:split].std()
    later = np.lib.stride_tricks.sliding_window_view(normal, AHEAD)  # the months from each month on
    part = rv.utils.timeseries_dataset_from_array
    train = part(normal[: split - AHEAD], later[PAST : split - AHEAD + 1], PAST, batch_size=32, shuffle=True, seed=0)
    model = rv.Sequential([rv.Input((PAST,)), rv.layers.Dense(64, activation="relu"), rv.layers.Dense(AHEAD)])
    model.compile("adam", "mse")
    model.fit(train, epochs=60, verbose=0)
    x, y = next(iter(part(normal[split - PAST : -AHEAD], later[split:], PAST, batch_size=len(normal))))
    forecasts = {"network": model.predict(x, verbose=0), "last value": x[:, -1:], "year before": x[:, -YEAR:]}
    errors = {n: float(np.sqrt(np.mean((f - y) ** 2)) * degrees[:split].std()) for n, f in forecasts.items()}
    print(", ".join(f"{name} {error:.3f}" for name, error in errors.items()))
    return errors


if __name__ == "__main__":
    main()
