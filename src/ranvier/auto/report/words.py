"""The words of a report, in English and in Chinese."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ranvier.auto.report.chinese_checks import FINDINGS, TITLES
from ranvier.auto.report.chinese_data import DATA
from ranvier.support.phrases import Phrases

LANGUAGES = ("en", "zh")

SCORES = {  # name: English, Chinese
    "balanced_accuracy": ("balanced accuracy", "平衡准确率"),
    "accuracy": ("accuracy", "准确率"),
    "f1": ("F1", "F1 值"),
    "roc_auc": ("area under ROC", "ROC 曲线下面积"),
    "log_loss": ("log loss", "对数损失"),
    "r2": ("R2", "决定系数（R2）"),
    "mae": ("mean absolute error", "平均绝对误差"),
    "rmse": ("root mean squared error", "均方根误差"),
}

CHINESE = {
    # headings
    "Report: {name}": "报告：{name}",
    "The data": "数据",
    "What was done": "做了什么",
    "Training": "训练过程",
    "The model against baselines": "模型与基线的比较",
    "Each class": "各个类别",
    "Scores and probabilities": "得分与概率",
    "Residuals": "残差",
    "What the model uses": "模型依据什么",
    "The worst mistakes": "最严重的错误",
    "What the checks said": "检查结果",
    "How to repeat this": "如何重现",
    "Notes on the data": "关于数据的说明",
    "The search, by held-out rows": "搜索（按留出的行评分）",
    "What evaluate gives": "evaluate 给出的结果",
    "The prediction by the value of one column": "预测随单列取值的变化",
    "Permutation importances": "置换重要性",
    "Each target": "各个目标",
    # sentences
    "How much the error rises where a part of the image is covered with its mean, on {rows} of the scored images: red "
    "parts matter. It is what this model uses, not what causes the target.":
        "用平均像素遮住图像的一部分后误差上升多少，取自 {rows} 张评分图像：红色部分重要。"
        "这说明模型依据什么，而不是目标的成因。",
    "How much the error rises where a part of the sound is silent, on {rows} of the scored sounds. It is what this "
    "model uses, not what causes the target.":
        "把声音的一部分静音后误差上升多少，取自 {rows} 段评分声音。这说明模型依据什么，而不是目标的成因。",
    "How much the error rises where a word is left out, on {rows} of the scored texts: the mean over all of them, so "
    "that words in many texts count more. It is what this model uses, not what causes the target.":
        "去掉某个词后误差上升多少，取自 {rows} 篇评分文本：这是所有文本的平均值，因此出现在许多文本中的词分量更重。"
        "这说明模型依据什么，而不是目标的成因。",
    "Its networks are trained again on all rows to learn from; scores of held-out rows are of those of the folds.":
        "这些网络会在全部学习行上重新训练；留出行的得分来自各折的网络。",
    "rise of the error": "误差的上升",
    "mean of the images": "图像的平均",
    "predicted {a}, true {b}": "预测为 {a}，真实为 {b}",
    "Red parts speak for the predicted class: its probability falls without them.":
        "红色部分支持预测的类别：没有它们，该类别的概率会下降。",
    "what speaks for the prediction": "支持预测的部分",
    "mistake": "错误",
    "the part that speaks most for the prediction": "最支持预测的部分",
    "probability": "概率", "probability of the prediction": "预测的概率",
    "its probability without that part": "去掉这一部分后的概率",
    "Rows with a wrong target: {wrong} of {all}.": "在 {all} 行中，{wrong} 行有预测错误的目标。",
    "lowest probability of a true value": "真实值的最低概率",
    "{n} times one of two values": "{n} 个二值目标",
    "{metric} {value} on {part}.": "在{part}上，{metric}为 {value}。",
    "The model is better than {rival}: ": "模型优于{rival}：",
    "The model is worse than {rival}, which should be used instead: ": "模型不如{rival}，应改用后者：",
    "There is no clear difference between the model and {rival}: ": "模型与{rival}没有明显差别：",
    "{metric} {value} against {other} on {part}, a difference of {difference} (95 % interval {low} to {high}).":
        "在{part}上，{metric}为 {value}，对方为 {other}，相差 {difference}（95% 区间 {low} 到 {high}）。",
    "The accuracy {value} is below {share}, the share of the largest class.":
        "准确率 {value} 低于最大类别所占的比例 {share}。",
    "The accuracy {value} is below {share}, the share of the largest class: decisions are for {metric}.":
        "准确率 {value} 低于最大类别所占的比例 {share}：判定以{metric}为准。",
    "This is no verdict, since the time was too short for {rival}: ": "时间不够训练{rival}，因此不能下结论：",
    "The time was too short to finish {rival}.": "时间不够，{rival}没有训练完。",
    "Boosted trees are not compared.": "没有与提升树比较。",
    "Boosted trees are not compared: scikit-learn is not installed.": "没有与提升树比较：未安装 scikit-learn。",
    "These intervals are the normal ones of the differences of the rows, so that the same rows count for both. "
    "Where one contains 0 there is no clear difference.":
        "这些区间是各行之差的正态区间，因此双方用的是相同的行。区间包含 0 时没有明显差别。",
    "The probabilities of all are calibrated, and their thresholds set, by the same held-out rows.":
        "所有模型的概率校准和阈值都依据相同的留出行。",
    "The first {most} of {all} {what}.": "共 {all} 个{what}，显示前 {most} 个。",
    "Mean over the folds that are still training; the band is one standard deviation.":
        "仍在训练的各折的平均值；色带为一个标准差。",
    "Below each score is its 95 % interval: the middle 95 % of bootstrap samples of the rows. It does not "
    "contain what another training would change.":
        "每个得分下面是其 95% 区间：对各行自助抽样所得结果的中间 95%。它不包含重新训练带来的变化。",
    "Both kinds of errors cost 1 here; other costs have another threshold.":
        "这里两类错误的代价都是 1；代价不同，阈值也不同。",
    "How much worse the score is where the values of one column are shuffled, on {rows} of the scored rows. Of two "
    "columns that say the same, each may look unimportant. It is what this model uses, not what causes the target.":
        "把某一列的值打乱后得分变差多少，取自 {rows} 行评分数据。两列内容相同时，各自都可能显得不重要。"
        "这说明模型依据什么，并不说明目标的成因。",
    "The mean over rows in which only this column is changed. Grey lines are single rows, or one standard deviation; "
    "ticks are the tenths of the values.":
        "只改变这一列时各行预测的平均值。灰线是单独的行，或一个标准差；轴上的短线是该列取值的十分位数。",
    "No row is classified wrongly.": "没有一行分错。",
    "Rows that are classified wrongly: {wrong} of {all}.": "{all} 行中有 {wrong} 行分错。",
    "The rows whose prediction is farthest off.": "预测偏差最大的行。",
    "The checks of data and network found nothing.": "对数据和网络的检查没有发现问题。",
    # of a run
    "the test part": "测试部分",
    "the rows that were given": "给出的数据",
    "file": "文件", "rows": "行数", "target": "目标", "kind of task": "任务", "test part": "测试部分",
    "rows to learn from": "用于学习的行", "rows that are scored": "评分的行",
    "one of {n} classes": "{n} 个类别之一", "a number": "一个数", "{n} numbers": "{n} 个数",
    "The rows are divided by {by}: {train} to learn from, {test} for the test.":
        "数据按{by}划分：{train} 行用于学习，{test} 行用于测试。",
    "class": "类别", "group": "组", "time": "时间", "chance": "随机",
    "Preparation, scaling and categories are learned from the rows to learn from alone.":
        "预处理、缩放和类别只从用于学习的行得到。",
    "Settings that are tried: {n}, each on {folds} held-out parts.":
        "尝试了 {n} 组设置，每组在 {folds} 个留出部分上评分。",
    "Settings that are tried: {n}, each on one held-out part.": "尝试了 {n} 组设置，每组在一个留出部分上评分。",
    "The model is the mean of {n} networks, of {trials} of these settings.":
        "模型是其中 {trials} 组设置的 {n} 个网络的平均。",
    "The model is the mean of {n} networks of one of these settings.": "模型是其中一组设置的 {n} 个网络的平均。",
    "The model is the network of one of these settings.": "模型是其中一组设置的网络。",
    "The model consists of the networks in bold type.": "模型由粗体所示的网络组成。",
    "Probabilities are calibrated with the temperature {value}.": "概率用温度 {value} 校准。",
    "The class {name} is chosen from a probability of {value}.": "概率达到 {value} 时判为类别 {name}。",
    "The test part is scored once, at the end.": "测试部分只在最后评分一次。",
    "The training was stopped before its end; this is the best so far.": "训练提前停止；这是到那时为止最好的模型。",
    "the largest class": "最大的类别", "the most frequent class": "最常见的类别", "the mean": "平均值",
    "boosted trees": "提升树",
    "a linear model": "线性模型", "note": "说明", "the held-out rows": "留出的行",
    "trial {n}": "尝试 {n}",
    "number": "数值", "category": "类别型", "date": "日期", "yes/no": "是/否", "identifier": "标识", "text": "文本",
    "constant": "常数", "image": "图像", "sound": "声音", "not used": "未使用",
    "{kind}, not used": "{kind}，未使用", "{n} values": "{n} 个不同值",
    "{low} to {high}": "{low} 到 {high}", "{low} to {high}, mean {mean}": "{low} 到 {high}，平均 {mean}",
    "images of shape {shape}": "形状为 {shape} 的图像", "arrays of shape {shape}": "形状为 {shape} 的数组",
    # of a model
    "model": "模型", "input": "输入", "optimizer": "优化器", "loss": "损失", "engine": "引擎",
    "Step {n}: {step}": "第 {n} 步：{step}",
    "{name} with {count} parameters.": "{name}，共 {count} 个参数。",
    "Compiled with the loss {loss} and the optimizer {optimizer}.": "编译时的损失为 {loss}，优化器为 {optimizer}。",
    "Epochs of training: {n}.": "训练了 {n} 轮。",
    "The outputs are logits; probabilities are their softmax or sigmoid.":
        "输出是 logits；概率是其 softmax 或 sigmoid。",
    "Baselines are learned from the training rows that were given ({n}).": "基线从给出的 {n} 行训练数据得到。",
    "The baseline knows the scored rows, because no training rows were given.":
        "没有给出训练数据，因此基线由评分的行得到。",
    # columns of tables
    "column": "列", "kind": "类型", "values": "取值", "missing": "缺失", "columns": "列", "classes": "类别",
    "layers": "层",
    "layer": "层", "output": "输出", "parameters": "参数", "trial": "尝试", "settings": "设置", "epochs": "轮数",
    "failed": "失败", "the model": "模型", "the model minus": "模型减去", "difference of {metric}": "{metric}之差",
    "95 % interval": "95% 区间", "result": "结果", "value": "值", "precision": "精确率", "recall": "召回率",
    "F1": "F1 值",
    "drop of {metric}": "{metric}的下降", "rise of {metric}": "{metric}的上升",
    "row": "行", "line": "文件行", "true": "真实", "predicted": "预测",
    "probability of the true class": "真实类别的概率", "difference": "差", "level": "级别", "what": "内容",
    "error": "错误", "warning": "警告", "seed": "随机种子", "seconds: {part}": "秒：{part}", "all": "全部",
    "search": "搜索", "linear": "线性模型", "trees": "梯度提升树", "training": "训练", "samples": "样本数",
}  # fmt: skip

FIGURES = {  # texts of pictures
    "training": "训练", "validation": "验证", "epoch": "轮", "loss": "损失", "accuracy": "准确率",
    "false positive rate": "假阳性率", "true positive rate": "真阳性率", "by chance": "随机猜测", "area": "面积",
    "average precision": "平均精确率", "precision": "精确率", "recall": "召回率",
    "Precision and recall": "精确率与召回率",
    "ROC": "ROC 曲线", "Cost by threshold": "代价与阈值", "positive from a score of": "判为正类的最低得分",
    "cost of a sample": "每个样本的代价", "both": "两者之和", "confidence": "置信度",
    "perfectly calibrated": "完全校准",
    "overconfident by": "过度自信", "underconfident by": "自信不足", "samples": "样本数",
    "Confusion matrix": "混淆矩阵", "Predicted class": "预测类别", "True class": "真实类别", "predicted": "预测",
    "true": "真实", "true minus predicted": "真实减预测", "predicted by true": "预测与真实", "mean": "平均",
    "output": "输出", "missing": "缺失",
}  # fmt: skip
PATTERNS = (  # the same, with names and numbers in them
    (r"^(.*) against the rest: (.*)$", r"\1 对其余：\2"),
    (r"^mean of (\d+) classes: (.*)$", r"\1 个类别的平均：\2"),
    (r"^false positives \((.*) each\)$", r"假阳性（每个 \1）"),
    (r"^false negatives \((.*) each\)$", r"假阴性（每个 \1）"),
    (r"^cheapest: (.*) at (.*)$", r"最低：\1，阈值 \2"),
    (r"^in use: (.*) at (.*)$", r"当前：\1，阈值 \2"),
    (r"^Reliability: expected error (.*)$", r"可靠性：期望误差 \1"),
    (r"^(.*) by prediction$", r"\1 与预测"),
    (r"^mean (\S+), sd (\S+)$", r"平均 \1，标准差 \2"),
    (r"^(\d+) of (\d+) misclassified.*$", r"\2 个中分错 \1 个"),
    (r"^predicted (.*)\ntrue (.*)(?:\nrow \d+)?$", r"预测 \1\n真实 \2"),
)


SENTENCES = Phrases(DATA | FINDINGS)


class Name(str):
    """A name of the user's, such as that of a column: it is the same in every language."""

    __slots__ = ()


class Say:
    """The words of one language: ``say(text, **values)`` translates a text and fills in values.

    A text that the table does not know, such as a name, stays as it is. Raises ValueError for an unknown language.
    """

    def __init__(self, lang: str = "en") -> None:
        if lang not in LANGUAGES:
            raise ValueError(f"lang={lang!r}: write one of {', '.join(map(repr, LANGUAGES))} instead.")
        self.lang = lang

    def __call__(self, text: Any, **values: Any) -> str:
        if isinstance(text, tuple):  # a text with its values
            text, values = text
        found = CHINESE.get(text, text) if self.lang == "zh" and not isinstance(text, Name) else str(text)
        return (
            found.format(**{k: self(v) if isinstance(v, str) else v for k, v in values.items()})
            if values
            else str(found)
        )

    def sentence(self, text: str) -> str:
        """A note or an error, which has its values in it."""
        return SENTENCES(text) if self.lang == "zh" else text

    def finding(self, found: Any) -> str:
        """A finding of the checks, as its ``str`` is in English."""
        if self.lang == "en":
            return str(found)
        where = f"（{SENTENCES(found.where)}）" if found.where else ""
        title, text, fix = TITLES.get(found.code, found.title), SENTENCES(found.text), SENTENCES(found.fix)
        return f"{found.code} {title}：{text}{where}。{fix}"

    def score(self, name: str) -> str:
        """The name of a score."""
        both = SCORES.get(name)
        return name.replace("_", " ") if both is None else both[self.lang == "zh"]

    def figure(self, text: str) -> str:
        """A text of a picture."""
        if self.lang == "en" or not text.strip():
            return text
        if text in FIGURES:
            return FIGURES[text]
        for pattern, changed in PATTERNS:
            found = re.sub(pattern, changed, text)
            if found != text:
                return found
        return text

    @contextmanager
    def glyphs(self) -> Iterator[None]:
        """No warnings of characters that no font here has: the reader's browser has its own fonts."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Glyph \d+")
            yield


def translate_figure(made: Any, say: Say) -> None:
    """Translate the texts of a figure, those of axes, legends and panels."""
    if say.lang == "en":
        return
    from matplotlib.text import Text

    for text in made.findobj(Text):
        found = say.figure(text.get_text())
        if found != text.get_text():
            text.set_text(found)
