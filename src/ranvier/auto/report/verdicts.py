"""Whether a model is better than its rivals: sentences, by the interval of the difference to the best of them."""

from __future__ import annotations

import numpy as np

from ranvier.auto.report.facts import Facts, Rival
from ranvier.auto.report.page import number
from ranvier.auto.report.words import Say
from ranvier.auto.runs import Run
from ranvier.auto.scores import NUMBERS, better, decide, scores
from ranvier.data.convert import Array


def sentences(facts: Facts, say: Say) -> tuple[list[str], bool]:
    """The verdict, and whether a rival is better. A difference is clear where its interval does not contain 0."""
    name = facts.decisive
    mine = scores(facts.task, facts.truth, facts.output, facts.decided)
    best, value = _best_rival(facts)
    words = {"metric": say.score(name), "value": number(mine[name]), "part": say(facts.part)}
    if best is None or mine[name] != mine[name]:
        return [say("{metric} {value} on {part}.", **words), *_warnings(facts, mine, say)], False
    difference, low, high = facts.difference(best)
    words |= {"rival": say(best.title), "other": number(value)}
    words |= {"difference": f"{difference:+.4f}", "low": f"{low:+.4f}", "high": f"{high:+.4f}"}
    worse = False
    if not (low > 0 or high < 0):  # the interval contains 0, or is unknown
        text = "There is no clear difference between the model and {rival}: "
    elif better(name, mine[name], value):
        text = "The model is better than {rival}: "
        if best.unfinished:
            text = "This is no verdict, since the time was too short for {rival}: "
    else:
        text, worse = "The model is worse than {rival}, which should be used instead: ", True
    comparison = (
        "{metric} {value} against {other} on {part}, a difference of {difference} (95 % interval {low} to {high})."
    )
    return [say(text, **words) + say(comparison, **words), *_warnings(facts, mine, say)], worse


def _best_rival(facts: Facts) -> tuple[Rival | None, float]:
    """The rival with the best decisive score."""
    found: tuple[Rival | None, float] = None, float("nan")
    for rival in facts.rivals:
        value = scores(facts.task, facts.truth, rival.output, rival.decided)[facts.decisive]
        if better(facts.decisive, value, found[1]):
            found = rival, value
    return found


def _warnings(facts: Facts, mine: dict[str, float], say: Say) -> list[str]:
    """That always saying the largest class would be more accurate; who had too little time; what was not compared."""
    made = []
    if facts.task.kind != NUMBERS:
        truth = facts.truth if facts.labels else np.eye(facts.output.shape[1])[facts.truth]
        share = np.mean(np.maximum(truth.mean(0), 1 - truth.mean(0))) if facts.labels else truth.mean(0).max()
        if mine["accuracy"] < share:
            text = "The accuracy {value} is below {share}, the share of the largest class."
            if facts.metric != "accuracy" and facts.decided is not None:
                text = (
                    "The accuracy {value} is below {share}, the share of the largest class: decisions are for {metric}."
                )
            values = {"value": number(mine["accuracy"]), "share": number(share), "metric": say.score(facts.metric)}
            made.append(say(text, **values))
    short = "The time was too short to finish {rival}."
    made += [say(short, rival=say(rival.title)) for rival in facts.rivals if rival.unfinished]
    return [*made, say(facts.uncompared)] if facts.uncompared else made


def verdict(run: Run) -> str:
    """The verdict on a run, a sentence a line: whether it is better than the best of its baselines on the test part."""
    if not run.test:
        return "There is no test part, so nothing is known of new data: write --test 0.2."
    return "\n".join(sentences(scored_facts(run)[0], Say())[0])


def scored_facts(run: Run) -> tuple[Facts, Array]:
    """The outputs of a run and its baselines for the test rows, or of the run for held-out rows; and these rows."""
    tested = bool(len(run.arrays.get("test", ()))) and "test/output" in run.arrays
    rows = run.arrays["test" if tested else "train"]
    output = run.arrays["test/output" if tested else "validation/output"]
    known = ~np.isnan(output).any(1)
    facts = Facts(
        title=", ".join(run.task.targets[:4]), task=run.task, truth=run.arrays["truth"][rows[known]],
        output=output[known], part="the test part" if tested else "the held-out rows",
    )  # fmt: skip
    if run.task.kind != NUMBERS:
        facts.decide, facts.decided = run.decide, run.decide(facts.output)
        facts.threshold = run.decision.get("threshold")
    for row in run.baselines if tested else ():
        found, weights = run.arrays.get(f"test/{row['name']}/output"), row.get("decision", {}).get("weights")
        if found is not None:
            decided = None if weights is None else decide(found, weights)
            facts.rivals.append(Rival(row["title"], found, decided, bool(row.get("unfinished"))))
    if tested and run.data["kind"] == "table" and "trees" not in {row["name"] for row in run.baselines}:
        facts.uncompared = "Boosted trees are not compared."
        if "scikit-learn" not in run.versions:
            facts.uncompared = "Boosted trees are not compared: scikit-learn is not installed."
    return facts, rows[known]
