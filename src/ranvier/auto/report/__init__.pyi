# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.auto.report.writing import importances as importances
from ranvier.auto.report.writing import write_report as write_report

__all__ = ['importances', 'write_report']
