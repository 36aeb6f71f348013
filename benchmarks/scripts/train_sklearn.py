"""The complete program in scikit-learn: python train_sklearn.py x.npy y.npy epochs."""

import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

warnings.filterwarnings("ignore", category=ConvergenceWarning)
x, y = (np.load(path, mmap_mode="r") for path in sys.argv[1:3])
epochs = int(sys.argv[3])
model = MLPClassifier((64, 64), alpha=0.0, batch_size=32, max_iter=epochs, tol=0.0, n_iter_no_change=epochs + 1)
with threadpool_limits(1):  # two are slower on matrices this small
    model.fit(x, y)
print(model.loss_)
