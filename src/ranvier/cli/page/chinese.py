"""What the server of the page refuses, in Chinese."""

from __future__ import annotations

from ranvier.auto.report.chinese_data import ERRORS
from ranvier.support.phrases import Phrases

REFUSALS = {
    # requests
    "this server answers for 127.0.0.1 only": "此服务器只回应 127.0.0.1",
    "requests of other pages are refused": "拒绝来自其他页面的请求",
    "the token is missing or wrong: open the address that ranvier page printed":
        "令牌缺失或错误：请打开 ranvier page 显示的地址",
    "the message is larger than {0} MB": "消息超过 {0} MB",
    "the message is larger than {0} MB.": "消息超过 {0} MB。",
    "the message is no JSON.": "消息不是 JSON。", "the message is no object.": "消息不是对象。",
    "{0} pages are open already. Close one of them first.": "已打开 {0} 个页面。请先关闭其中一个。",
    "this page's session has ended. Load the page again.": "此页面的会话已结束。请重新载入页面。",
    "action={0}: write run, pause, step, epoch, speed, rate or watch.":
        "action={0}：请写 run、pause、step、epoch、speed、rate 或 watch。",
    # settings
    "settings are an object with a value for each name.": "设置应是为每个名称给出值的对象。",
    "{0}={1}: write one of {2}.": "{0}={1}：请改用 {2} 之一。",
    "{0}={1}: write a number from {2} to {3}.": "{0}={1}：请写 {2} 到 {3} 之间的数。",
    "{0}={1}: write a whole number from {2} to {3}.": "{0}={1}：请写 {2} 到 {3} 之间的整数。",
    "{0}: write a list of {1}.": "{0}：请写由 {1} 组成的列表。",
    "layers: write a list of at most {0} layers.": "layers：最多 {0} 层。",
    "placed: write a list of at most {0} points.": "placed：最多 {0} 个点。",
    "placed: a point is [x, y, class].": "placed：一个点应为 [x, y, 类别]。",
    "loss={0}: write one of {1} for these data.": "loss={0}：这些数据请用 {1} 之一。",
    "convolutions and pooling come before the first dense layer, and need images.":
        "卷积和池化要放在第一个全连接层之前，并且需要图像数据。",
    "the images are too small for so many pooling layers. Remove one.": "图像太小，放不下这么多池化层。请去掉一层。",
    "set at least four points, of two classes.": "请至少放置两类共四个点。",
    "there is no network yet. Choose data and layers first.": "还没有网络。请先选择数据和层。",
    "there are no such data yet. Choose a file first, or another data set.":
        "还没有这样的数据。请先选择文件，或换一个数据集。",
    "the loss is not finite any more. Write a smaller learning rate.": "损失不再是有限数。请用更小的学习率。",
    "row={0}: write a row from 0 to {1}.": "row={0}：请写 0 到 {1} 之间的行号。",
    "the data are no images.": "这些数据不是图像。",
    "image: write {0} numbers, {1} x {2}.": "image：请写 {0} 个数，{1} x {2}。",
    "output={0}: write a whole number from 0 to {1}.": "output={0}：请写 0 到 {1} 之间的整数。",
    "{0} has no program of this library: layer {1} is of a class of yours, or of another library.":
        "{0} 在本库中没有程序：层 {1} 属于您自己的类或其他库。定义它的文件就是它的程序。",
    "{0} has no program of Keras: layer {1} is of a class of yours, or of another library.":
        "{0} 没有 Keras 程序：层 {1} 属于您自己的类或其他库。",
    "{0} has no program of Keras: it is of PyTorch's vocabulary. Write 'torch' or 'ranvier'.":
        "{0} 没有 Keras 程序：它使用 PyTorch 的写法。请选 PyTorch 或 Ranvier。",
    "{0} cannot become a module of PyTorch: layer {1}: has no counterpart. Files of ONNX, "
    "model.export(path), take any layer.":
        "{0} 无法成为 PyTorch 模块：层 {1} 没有对应物。ONNX 文件可包含任何层。",
    "{0} cannot become a module of PyTorch: layer {1}: {2}.": "{0} 无法成为 PyTorch 模块：层 {1}：{2}。",
    "{0} cannot be written as a model of Keras: layer {1} is none of Keras's. Write layers of rv.layers, or a "
    "name that ends with .ranvier, instead.":
        "{0} 无法写成 Keras 模型：层 {1} 不是 Keras 的层。请选 .ranvier 文件。",
    # files
    "the file ends in {0}. Choose one of {1}.": "该文件的后缀是 {0}。请选择以下后缀之一：{1}。",
    "{0} has {1} rows; the page takes {2}. Write ranvier train.":
        "{0} 有 {1} 行，而此页面最多接受 {2} 行。请用 ranvier train。",
    "the table has no column {0}. Choose another target.": "表中没有列 {0}。请选择另一个目标。",
    "the table has {0} with a target, and at least 10 are needed.": "表中有目标的行只有 {0}，至少需要 10 行。",
    "{0} rows": "{0} 行", "1 row": "1 行",
    "the target has {0} classes, and the page shows {1}.": "目标有 {0} 个类别，而此页面最多显示 {1} 个。",
    "the table has no column to learn from besides the target.": "除目标外，表中没有可供学习的列。",
    "the table gives {0} features, and the page takes 1 to {1}.": "表给出 {0} 个特征，而此页面接受 1 到 {1} 个。",
    "the folder has too few images for a test. Give each class at least two.":
        "文件夹中的图像太少，无法测试。请让每个类别至少有两张。",
}  # fmt: skip
chinese = Phrases(REFUSALS | ERRORS)
