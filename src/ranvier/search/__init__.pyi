# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.search.distributions import Distribution as Distribution
from ranvier.search.distributions import choice as choice
from ranvier.search.distributions import integers as integers
from ranvier.search.distributions import log_uniform as log_uniform
from ranvier.search.distributions import uniform as uniform
from ranvier.search.folds import GroupKFold as GroupKFold
from ranvier.search.folds import KFold as KFold
from ranvier.search.folds import StratifiedKFold as StratifiedKFold
from ranvier.search.interval import Estimate as Estimate
from ranvier.search.learning_curves import LearningCurve as LearningCurve
from ranvier.search.learning_curves import learning_curve as learning_curve
from ranvier.search.many import fit_many as fit_many
from ranvier.search.results import Interrupted as Interrupted
from ranvier.search.results import Results as Results
from ranvier.search.results import Setting as Setting
from ranvier.search.results import Trained as Trained
from ranvier.search.searches import cross_validate as cross_validate
from ranvier.search.searches import grid_search as grid_search
from ranvier.search.searches import random_search as random_search
from ranvier.search.studies import optuna_search as optuna_search
from ranvier.search.variants import Variant as Variant

__all__ = ['Distribution', 'Estimate', 'GroupKFold', 'Interrupted', 'KFold', 'LearningCurve', 'Results', 'Setting', 'StratifiedKFold', 'Trained', 'Variant', 'choice', 'cross_validate', 'fit_many', 'grid_search', 'integers', 'learning_curve', 'log_uniform', 'optuna_search', 'random_search', 'uniform']
