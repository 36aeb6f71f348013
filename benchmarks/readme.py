"""Six timings of the last results in both READMEs, between the `results` comments; one table, two languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contestants import by_name as contestant_by_name
from benchmarks.figures import duration, fastest_peer, markdown_table, number, ratios
from benchmarks.workload import OURS

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(<!-- results:[^\n]*-->\n).*?(<!-- /results -->)", re.DOTALL)


@dataclass(frozen=True)
class Language:
    """The text of one README: the headings, a title for each workload, and the text around the table."""

    file: str
    headings: tuple[str, ...]
    titles: Mapping[str, str]
    before: str
    after: str


ENGLISH = Language(
    "README.md",
    ("what is timed", "Ranvier", "fastest other library", "Ranvier / other", "PyTorch", "Keras on TensorFlow"),
    {
        "article-adam": "one epoch of 784-64-64-10, 60,000 samples, batch 32, `fit`",
        "loop-adam": "one epoch of 784-64-64-10, explicit loop (Ranvier and the PyTorch column with a `DataLoader`)",
        "process-adam": "784-64-64-10 as a whole process: start `python`, compile, train 5 epochs",
        "image-train-cnn-128": "one epoch of a CNN with 32 and 64 filters, 10,240 images, batch 128",
        "search-digits": "a grid search: 20 small models, 20 epochs each",
        "predict-one": "`predict` on one sample, 784-64-64-10",
    },
    "Medians on {cpu}, {cores} cores, {date}. Every library trains the same network with Adam.\n\n",
    "\nThe other networks, the accuracies, the spreads and the versions are in\n"
    "[benchmarks/RESULTS.md](benchmarks/RESULTS.md). `make bench` repeats the measurements.\n",
)
CHINESE = Language(
    "README.zh-CN.md",
    ("测量内容", "Ranvier", "最快的其他库", "Ranvier / 对方", "PyTorch", "Keras（TensorFlow）"),
    {
        "article-adam": "784-64-64-10 训练一轮：60,000 个样本，批大小 32，`fit`",
        "loop-adam": "784-64-64-10 训练一轮：手写循环（Ranvier 和 PyTorch 一列使用 `DataLoader`）",
        "process-adam": "784-64-64-10 整个进程：启动 `python`、编译、训练 5 轮",
        "image-train-cnn-128": "32 和 64 个卷积核的 CNN 训练一轮：10,240 张图，批大小 128",
        "search-digits": "网格搜索：20 个小模型，各训练 20 轮",
        "predict-one": "784-64-64-10 对一个样本做 `predict`",
    },
    "测量环境：{cpu}，{cores} 核，{date}；取多次运行的中位数。各库都用 Adam 训练同样的网络。\n\n",
    "\n其他网络的结果，以及准确率、波动范围和各库版本，见 [benchmarks/RESULTS.md](benchmarks/RESULTS.md)（英文）。\n"
    "运行 `make bench` 可以重新测量。\n",
)


def summary(records: Mapping[str, dict[str, Any]], language: Language) -> str:
    """The block's text: a line on the machine, a row for each measured workload, a link to the rest."""
    rows = []
    for name, title in language.titles.items():
        record = records.get(name)
        times = {row["name"]: median(row["times"]) for row in record["rows"]} if record else {}
        if record is None or OURS not in times:
            continue
        shown = {contestant: duration(seconds) for contestant, seconds in times.items()}
        peer = fastest_peer(record)
        fastest = f"{contestant_by_name(peer).title} {shown[peer]}" if peer else ""
        ratio = f"**{number(median(ratios(record, peer)))}**" if peer else ""
        torch = shown.get("torch-loader", shown.get("torch", ""))
        rows.append((title, shown[OURS], fastest, ratio, torch, shown.get("keras-tf", "")))
    machine = next(iter(records.values()))["machine"]
    before = language.before.format(
        cpu=machine["cpu"], cores=machine["cores"], date=max(record["date"] for record in records.values())
    )
    return before + "\n".join(markdown_table(language.headings, rows)) + "\n" + language.after


def update(records: Mapping[str, dict[str, Any]]) -> list[str]:
    """Write the summary into both READMEs; return the names of the changed files.

    Raises ValueError without results, or where a README does not have the two comments.
    """
    if not records:
        raise ValueError("There are no results yet. Write `python -m benchmarks --write` first.")
    changed = []
    for language in (ENGLISH, CHINESE):
        path = ROOT / language.file
        old = path.read_text(encoding="utf-8")
        block = _BLOCK.search(old)
        if block is None:
            raise ValueError(f"{path.name} needs one block `<!-- results: ... -->` to `<!-- /results -->`.")
        new = old[: block.end(1)] + summary(records, language) + old[block.start(2) :]
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path.name)
    return changed
