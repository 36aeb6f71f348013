"""The report of a run, or of any trained model: one HTML file without network or script.

The files, from the bottom: ``words`` (English and Chinese), ``page`` (HTML that escapes), ``facts`` (what is shown),
``of_run`` and ``of_model`` (where the facts come from), ``explained`` and ``sections`` (facts as parts of the page),
``writing``.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.auto.report", {
    "ranvier.auto.report.writing": "importances write_report",
})  # fmt: skip
