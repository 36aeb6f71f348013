"""From a file of data to a trained model, its predictions and its report: what the command line does, as functions.

    run = rv.auto.train("iris.csv", target="species", out="run")
    table = rv.auto.read_table("new.csv")
    rv.auto.predict(run, table).write("out.csv")
    print(rv.auto.evaluate(run, "test.csv"))

The files, from the bottom. Each knows only those above it in this list:

- ``tables``: `read_table` gives a `Table`: the columns of a file as they are written, and the line of each row;
- ``folders``, ``sources``: folders of images, sounds and texts as tables; `read_data` for data of any kind;
- ``columns``: `find_columns` gives a `Column` for each: its kind, facts, and values as numbers, dates or levels;
- ``preparation``: `Preparation`, fitted on training rows, turns a table into one array of numbers (rows, features);
- ``scores``: the scores of a task, of the targets and what is predicted: those that everything here shows;
- ``runs``: `Run`, the folder of a training. Whoever needs something of a training reads it there;
- ``splits``, ``checks``, ``samples``: the rows of the test part and of the folds; what is wrong with the data; both;
- ``pacing``, ``networks``, ``spaces``, ``trials``, ``choosing``: how long a network is trained, the networks, the
  settings that are tried, the search, and what the held-out rows decide;
- ``linear``, ``baselines``: linear models, and all that the networks must beat;
- ``descriptions``: a run in words;
- ``training``: `train`, all of it in order;
- ``formats``, ``predicting``: files that are written; `predict` and `evaluate`: a run on new data;
- ``report/``: the report of a run.

The library prints nothing here: ``say`` is a function that takes a line.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.auto", {
    "ranvier.auto.columns": "Column find_columns",
    "ranvier.auto.descriptions": "column_lines data_lines settings_words",
    "ranvier.auto.predicting": "Predictions evaluate predict",
    "ranvier.auto.preparation": "Preparation",
    "ranvier.auto.report.verdicts": "verdict",
    "ranvier.auto.report.writing": "importances write_report",
    "ranvier.auto.runs": "Run",
    "ranvier.auto.scores": "title",
    "ranvier.auto.sources": "read_data",
    "ranvier.auto.tables": "Table read_table",
    "ranvier.auto.training": "train",
    "ranvier.auto.trials": "Trial",
})  # fmt: skip
