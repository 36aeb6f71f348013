"""The summary of the last results in both READMEs, between the `results` comments; one table, two languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import overview
from benchmarks.contestants import by_name as contestant_by_name
from benchmarks.figures import duration, fastest_peer, markdown_table, number, ratios, verdicts
from benchmarks.workloads import OURS, WORKLOADS

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(<!-- results:[^\n]*-->\n).*?(<!-- /results -->)", re.DOTALL)


@dataclass(frozen=True)
class Language:
    """What one README says; the names of workloads stay as they are where `titles` has nothing else."""

    file: str
    headings: tuple[str, ...]
    titles: Mapping[str, str]
    units: Mapping[str, str]
    before: str
    images: str
    trainings: str
    words: overview.Words
    after: str


ENGLISH = Language(
    "README.md",
    ("one unit", "ranvier", "best other", "ours / theirs", "PyTorch", "Keras on TensorFlow"),
    {
        "process-adam": "784-64-64-10, `python` to 5 trained epochs, caches cold",
        "tanh-full": "4-32-16-4 tanh, full batch of 10,000, MSE, Adam",
        "search-digits": "a grid of 4 networks, 5 folds, 20 epochs: 20 models on the digits",
        "fit-digits": "estimator against MLPClassifier: a fit on the digits, 200 epochs",
        "fit-digits-stop": "the same with early stopping",
        "fit-letters": "the same on LetterRecognition, 200 epochs",
        "fit-fashion": "the same on Fashion-MNIST, 10 epochs",
        "fit-fashion-64": "the same, given float64 data",
        "compile": "compiling the 784-64-64-10 `fit` program, cold",
    },
    {
        "epoch": "an epoch of {}",
        "process": "{}",
        "search": "{}",
        "fit": "{}",
        "call": "{}",
        "compilation": "{}",
        "import": "`import`",
        "MB": "{}",
    },
    "Medians of {rounds} interleaved rounds on {cpu}, {cores} cores, {date}; the last columns give times.\n\n",
    "\nImage networks: training with Adam (an epoch is 10,240 images), prediction of batches of 1 and 64, peak memory\n"
    "of the training process; ratios are ours / theirs.\n\n",
    "\nWhole trainings on the 60,000 images, the same program in every library\n"
    "([examples/images.py](examples/images.py)): accuracy on the 10,000 test images, and the time from the start of\n"
    "training to its end, compilation included; runs of each: {runs}.\n\n",
    overview.ENGLISH,
    "\n{met} of {all} requirements of the plan are met. All numbers, spreads, losses and versions are in\n"
    "[benchmarks/RESULTS.md](benchmarks/RESULTS.md); `make bench` repeats them.\n",
)
CHINESE = Language(
    "README.zh-CN.md",
    ("测量单位", "ranvier", "最好的其他库", "本库 / 对方", "PyTorch", "Keras（TensorFlow）"),
    {
        "article-adam": "784-64-64-10，批大小 32，Adam，`fit`",
        "article-sgd": "784-64-64-10，批大小 32，SGD，`fit`",
        "process-adam": "784-64-64-10，从启动 `python` 到训练完 5 轮，无缓存",
        "loop-sgd": "784-64-64-10，批大小 32，SGD，手写循环加 DataLoader",
        "loop-adam": "784-64-64-10，批大小 32，Adam，手写循环加 DataLoader",
        "wide-adam": "784-512-512-10，批大小 128，Adam，`fit`",
        "ten-16": "10-46-46-10，批大小 16，Adam，20,000 个样本",
        "ten-128": "10-46-46-10，批大小 128，Adam，20,000 个样本",
        "binary-16": "30-64-1，批大小 16，Adam，20,000 个样本",
        "binary-128": "30-64-1，批大小 128，Adam，20,000 个样本",
        "tanh-full": "4-32-16-4 tanh，全批 10,000，MSE，Adam",
        "search-digits": "网格搜索：4 种网络，5 折，各 20 轮，共 20 个模型（digits 数据）",
        "fit-digits": "与 MLPClassifier 对比：digits 数据，一次 fit，200 轮",
        "fit-digits-stop": "同上，提前停止",
        "fit-letters": "同上，LetterRecognition 数据，200 轮",
        "fit-fashion": "同上，Fashion-MNIST 数据，10 轮",
        "fit-fashion-64": "同上，数据为 float64",
        "predict-one": "784-64-64-10，预测一个样本",
        "compile": "编译 784-64-64-10 的 `fit` 程序，无缓存",
        "size": "安装体积（含全部必需依赖）",
    },
    {
        "epoch": "一轮：{}",
        "process": "{}",
        "search": "{}",
        "fit": "{}",
        "call": "{}",
        "compilation": "{}",
        "import": "`import`",
        "MB": "{}",
    },
    "{cpu}，{cores} 核，{date}，交替运行 {rounds} 轮取中位数；最后两列是耗时。\n\n",
    "\n图像网络：Adam 训练（一轮 10,240 张图）、批大小 1 和 64 的预测、训练进程的内存峰值；比值均为本库 / 对方。\n\n",
    "\n完整训练：60,000 张训练图，各库运行同样的程序（[examples/images.py](examples/images.py)）；\n"
    "列出 10,000 张测试图上的准确率，以及从训练开始到结束的耗时（含编译）；各运行 {runs} 次。\n\n",
    overview.Words(
        (
            "网络",
            "一轮",
            "GFLOP/s",
            "占峰值",
            "/ PyTorch",
            "/ Keras（TensorFlow）",
            "/ Keras（JAX）",
            "预测 1 张 / ONNX Runtime",
            "预测 64 张 / ONNX Runtime",
            "内存 / PyTorch",
        ),
        "{}，批大小 {}",
        {
            "cnn": "CNN 32-64",
            "bn": "带批归一化的 CNN 32-32-64",
            "lenet": "LeNet-5",
            "resnet": "ResNet-20",
            "depthwise": "5x5 步长 2、逐通道卷积、1x1 卷积",
            "digits": "`cnn`：32-64，dropout",
            "clothes": "`vgg_small`：32-64-128，批归一化，随机左右翻转",
        },
        ("数据", "网络", "轮数", "ranvier", "PyTorch", "Keras（TensorFlow）", "Keras（JAX）"),
        "{:.2%}，{}",
    ),
    "\n计划中的 {all} 项要求满足了 {met} 项。全部数字、波动范围、损失和版本见\n"
    "[benchmarks/RESULTS.md](benchmarks/RESULTS.md)（英文）；`make bench` 可以重新测量。\n",
)


def _range(counts: set[int]) -> str:
    """The smallest and the largest, or the one there is."""
    return "–".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""


def summary(records: Mapping[str, dict[str, Any]], language: Language) -> str:
    """The block's text: a line on the machine, a row per workload, how many requirements are met."""
    rows = []
    for workload in WORKLOADS:
        record = records.get(workload.name)
        times = {row["name"]: median(row["times"]) for row in record["rows"]} if record else {}
        if record is None or OURS not in times or workload.network:
            continue
        size = workload.kind == "size"
        shown = {name: f"{t:.0f} MB" if size else duration(t) for name, t in times.items()}
        peer = fastest_peer(record)
        fastest = f"{contestant_by_name(peer).title} {shown[peer]}" if peer else ""
        ratio = f"**{number(median(ratios(record, peer)))}**" if peer else ""
        title = language.titles.get(workload.name, workload.title)
        torch = shown.get("torch-loader", shown.get("torch", ""))
        unit = language.units[workload.unit].format(title)
        rows.append((unit, shown[OURS], fastest, ratio, torch, shown.get("keras-tf", "")))
    judged = verdicts(records)
    first = next(iter(records.values()))
    machine = first["machine"]
    counts: dict[bool, set[int]] = {False: set(), True: set()}  # of rounds, and of runs of whole trainings
    for workload in WORKLOADS:
        if workload.name in records and workload.unit != "MB":  # sizes are taken once
            rows_of = records[workload.name]["rows"]
            counts[workload.unit == "training"] |= {len(row["times"]) for row in rows_of}
    facts = {
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "date": max(r["date"] for r in records.values()),
        "rounds": _range(counts[False]),
        "runs": _range(counts[True]),
        "met": sum(v.met is True for v in judged),
        "all": len(judged),
    }
    table = "\n".join(markdown_table(language.headings, rows)) + "\n"
    images = "\n".join(overview.table(records, language.words))
    images = f"{language.images}{images}\n" if images else ""
    trainings = "\n".join(overview.trainings(records, language.words))
    trainings = f"{language.trainings.format(**facts)}{trainings}\n" if trainings else ""
    return language.before.format(**facts) + table + images + trainings + language.after.format(**facts)


def update(records: Mapping[str, dict[str, Any]]) -> list[str]:
    """Write the summary into both READMEs; returns the names of the files that changed.

    ValueError where there are no results yet, or a README has lost its two comments.
    """
    if not records:
        raise ValueError("There are no results yet. Write `python -m benchmarks --write` first.")
    changed = []
    for language in (ENGLISH, CHINESE):
        path = ROOT / language.file
        old = path.read_text(encoding="utf-8")
        text = summary(records, language)
        block = _BLOCK.search(old)
        if block is None:
            raise ValueError(f"{path.name} needs one block `<!-- results: ... -->` to `<!-- /results -->`.")
        new = old[: block.end(1)] + text + old[block.start(2) :]
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path.name)
    return changed
