# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.auto.columns import Column as Column
from ranvier.auto.columns import find_columns as find_columns
from ranvier.auto.descriptions import column_lines as column_lines
from ranvier.auto.descriptions import data_lines as data_lines
from ranvier.auto.descriptions import settings_words as settings_words
from ranvier.auto.predicting import Predictions as Predictions
from ranvier.auto.predicting import evaluate as evaluate
from ranvier.auto.predicting import predict as predict
from ranvier.auto.preparation import Preparation as Preparation
from ranvier.auto.report.verdicts import verdict as verdict
from ranvier.auto.report.writing import importances as importances
from ranvier.auto.report.writing import write_report as write_report
from ranvier.auto.runs import Run as Run
from ranvier.auto.scores import title as title
from ranvier.auto.sources import read_data as read_data
from ranvier.auto.tables import Table as Table
from ranvier.auto.tables import read_table as read_table
from ranvier.auto.training import train as train
from ranvier.auto.trials import Trial as Trial

__all__ = ['Column', 'Predictions', 'Preparation', 'Run', 'Table', 'Trial', 'column_lines', 'data_lines', 'evaluate', 'find_columns', 'importances', 'predict', 'read_data', 'read_table', 'settings_words', 'title', 'train', 'verdict', 'write_report']
