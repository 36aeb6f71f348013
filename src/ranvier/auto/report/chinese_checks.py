"""The findings of the checks before training in Chinese: titles, and templates of `Phrases` for texts and fixes."""

TITLES = {
    "RV001": "数据无效",
    "RV002": "层的形状不相配",
    "RV101": "应为 logits",
    "RV102": "应为概率",
    "RV103": "应为对数概率",
    "RV104": "多类别之一却用 sigmoid",
    "RV105": "多个类别只有一个输出",
    "RV106": "没有非线性",
    "RV107": "末尾有 dropout",
    "RV108": "dropout 清空整层", "RV109": "softmax 跨样本", "RV110": "logits 受限", "RV111": "单元全都相同",
    "RV112": "未使用的层", "RV113": "归一化层未适配", "RV114": "颜色超出范围", "RV115": "通道在另一轴上",
    "RV116": "二值标签却用 softmax", "RV117": "对负输出取对数", "RV118": "模型之外的层", "RV201": "像素未缩放",
    "RV202": "特征过大", "RV203": "特征尺度不一", "RV204": "恒定的特征", "RV205": "各行相同", "RV301": "无法达到的目标",
    "RV302": "目标不在 0 到 1 之间", "RV303": "目标之和不为 1", "RV304": "只有一个类别", "RV305": "恒定的目标",
    "RV306": "类别不平衡", "RV307": "从未出现的类别", "RV308": "目标过大", "RV309": "回归中用了分类指标",
    "RV401": "训练与验证有相同的行",
    "RV402": "只在验证中出现的类别",
    "RV403": "验证中缺少的类别",
    "RV404": "验证数据尺度不同",
    "RV501": "梯度消失", "RV502": "输出爆炸", "RV503": "学习率过高", "RV504": "损失不是有限数", "RV505": "失效的单元",
    "RV506": "饱和的单元", "RV507": "学习率为零", "RV508": "epsilon 为零", "RV601": "predict 的输入含 NaN",
    "RV602": "predict 的输出含 NaN",
}  # fmt: skip
FINDINGS = {
    "layer {0}, made at {1}": "层 {0}，创建于 {1}", "layer {0}": "层 {0}",
    "a layer without activation": "没有激活函数的层",
    # the last layer
    "the loss {0} expects logits, and the model ends with {1}": "损失 {0} 需要 logits，而模型以 {1} 结尾",
    "no activation in the last layer": "去掉最后一层的激活函数",
    "from_logits=False in the loss": "在损失中写 from_logits=False",
    "the loss {0} expects probabilities, and the model ends with {1}, which gives none":
        "损失 {0} 需要概率，而模型以 {1} 结尾，给不出概率",
    "torch.sigmoid at the end of the model, or BCEWithLogitsLoss,": "模型末尾用 torch.sigmoid，或用 BCEWithLogitsLoss",
    "activation={0} in the last layer, or from_logits=True in the loss,":
        "最后一层写 activation={0}，或在损失中写 from_logits=True",
    "NLLLoss expects log probabilities, and the model ends with {0}, so the loss has no minimum":
        "NLLLoss 需要对数概率，而模型以 {0} 结尾，损失因此没有最小值",
    "Write log_softmax at the end of the model, or CrossEntropyLoss, instead.":
        "请在模型末尾用 log_softmax，或改用 CrossEntropyLoss。",
    "the loss {0} expects probabilities with a sum of 1, and the model ends with sigmoid":
        "损失 {0} 需要和为 1 的概率，而模型以 sigmoid 结尾",
    "Write activation='softmax' for one class of several, or loss='binary_crossentropy' for independent binary "
    "labels, instead.":
        "多类别之一请写 activation='softmax'；相互独立的二值标签请写 loss='binary_crossentropy'。",
    "the loss {0} expects an independent probability of each output, and the model ends with softmax, whose outputs "
    "have a sum of 1":
        "损失 {0} 需要每个输出各自独立的概率，而模型以 softmax 结尾，其输出之和为 1",
    "Write {0} for one class of several, or sigmoid at the end for independent binary labels, instead.":
        "多类别之一请用 {0}；相互独立的二值标签请在末尾用 sigmoid。",
    "CrossEntropyLoss without the softmax": "CrossEntropyLoss 并去掉 softmax",
    "the loss {0} takes the logarithm of the outputs, and the model ends with {1}, which can give negative numbers":
        "损失 {0} 对输出取对数，而模型以 {1} 结尾，可能给出负数",
    "Write activation='exponential' or 'softplus' in the last layer instead.":
        "请在最后一层写 activation='exponential' 或 'softplus'。",
    "the model has one output, and a categorical loss needs several, so the model learns nothing":
        "模型只有一个输出，而分类损失需要多个，模型因此什么也学不到",
    "Write loss='binary_crossentropy' with activation='sigmoid', or one output for each class, instead.":
        "请写 loss='binary_crossentropy' 并配 activation='sigmoid'，或为每个类别设一个输出。",
    "the model ends with {0} over one output, which is always {1}, so the model learns nothing":
        "模型以只有一个输出的 {0} 结尾，结果总是 {1}，模型因此什么也学不到",
    "Write activation='sigmoid' in the last layer for a binary label, or one output for each class, instead.":
        "二值标签请在最后一层写 activation='sigmoid'，或为每个类别设一个输出。",
    "the loss {0} expects logits of any size, and the model ends with {1}, which limits them":
        "损失 {0} 需要大小不限的 logits，而模型以 {1} 结尾，限制了它们",
    "Write a last layer without activation instead.": "请让最后一层不带激活函数。",
    # the network
    "{0} over axis {1} normalizes over the samples of a batch, so the result for a sample depends on the others":
        "{0} 沿轴 {1} 在一个批次的样本之间归一化，一个样本的结果因此取决于其他样本",
    "Write axis=-1 (dim=-1) instead.": "请写 axis=-1（dim=-1）。",
    "there is no nonlinearity between {0} and {1}, so both together compute no more than one linear layer":
        "{0} 与 {1} 之间没有非线性，两者合起来只相当于一个线性层",
    "Write activation='relu' in the first, or a ReLU between them, instead.":
        "请在前一层写 activation='relu'，或在两者之间加 ReLU。",
    "dropout comes after the last layer, so {0} of the outputs are always zero":
        "dropout 在最后一层之后，总有 {0} 的输出为零",
    "Write it before the last layer instead.": "请把它放在最后一层之前。",
    "dropout of {0} on {1} unit{2} sets all units to zero in {3} of the samples":
        "对 {1} 个单元用 {0} 的 dropout，会使 {3} 的样本所有单元为零",
    "Write a smaller rate, or more units in the layer before it, instead.": "请用更小的比例，或让前一层有更多单元。",
    "all {0} units start with the same weights, so they stay equal and act as one unit":
        "全部 {0} 个单元以相同的权重开始，因此始终相等，如同一个单元",
    "Write kernel_initializer='glorot_uniform' instead.": "请写 kernel_initializer='glorot_uniform'。",
    "the layer belongs to the model, and nothing calls it, so its weights never change":
        "该层属于模型，但没有被调用，其权重不会改变",
    "Call it in forward, or remove it from the model, instead.": "请在 forward 中调用它，或从模型中去掉。",
    "the model calls the layer, and the layer is not part of the model, so its weights are neither trained nor saved":
        "模型调用了该层，但它不是模型的一部分，其权重既不训练也不保存",
    "Write self.name = layer in __init__, for several nn.ModuleList([...]), instead of a list or a call that makes a "
    "layer.":
        "请在 __init__ 中写 self.name = layer，多个层用 nn.ModuleList([...])，不要用列表或在调用中创建层。",
    "the model reads a parameter of shape {0} that is not part of the model, so it is neither trained nor saved":
        "模型读取了形状为 {0} 的参数，但它不是模型的一部分，既不训练也不保存",
    "Write self.name = parameter in __init__, for several nn.ParameterList([...]), instead.":
        "请在 __init__ 中写 self.name = parameter，多个参数用 nn.ParameterList([...])。",
    "the layer has no mean and variance of the data, so it changes nothing": "该层没有数据的均值和方差，因此不起作用",
    "Write layer.adapt(x) before fit instead.": "请在 fit 之前写 layer.adapt(x)。",
    "value_range=({0}, {1}) is not the range of the pixels after {2}, so the layer changes them by far more than their "
    "size":
        "value_range=({0}, {1}) 不是 {2} 之后像素的范围，该层对像素的改动因此远超其大小",
    "Write value_range=(0, 1) instead, or put the layer before it.": "请写 value_range=(0, 1)，或把该层放到它之前。",
    "the layer takes {0}, and samples of {1} look like images of {2}x{3} with channels {4}":
        "该层接受 {0}，而形状为 {1} 的样本像是 {2}x{3} 的图像，通道在 {4}",
    "Write x.transpose{0}, or data_format='channels_{1}', instead.":
        "请写 x.transpose{0}，或 data_format='channels_{1}'。",
    # features
    "the inputs {0} range from {1} to {2}, and no layer rescales them, so training will be slow or fail":
        "输入 {0} 从 {1} 到 {2}，且没有层对其缩放，训练会很慢或失败",
    "Write rv.layers.Rescaling(1 / 255) as the first layer, or {0} / 255, instead.":
        "请把 rv.layers.Rescaling(1 / 255) 作为第一层，或写 {0} / 255。",
    "Write (x - x.mean(0)) / x.std(0) instead, with the mean and deviation of the training data for all data.":
        "请写 (x - x.mean(0)) / x.std(0)，所有数据都用训练数据的均值和标准差。",
    "the features of {0} have very different scales: feature {1} has a standard deviation of {2}, feature {3} one of "
    "{4}; the model learns almost only from the large ones":
        "{0} 的特征尺度相差很大：特征 {1} 的标准差为 {2}，特征 {3} 为 {4}；模型几乎只从大的特征学习",
    "feature {0} of {1} is large ({2}), and no layer rescales it, so training will be slow or fail":
        "{1} 的特征 {0} 很大（{2}），且没有层对其缩放，训练会很慢或失败",
    "{0} is large ({1}), and no layer rescales it, so training will be slow or fail":
        "{0} 很大（{1}），且没有层对其缩放，训练会很慢或失败",
    "{0} features of {1} are large (the largest, feature {2}: {3}), and no layer rescales them, so training will be "
    "slow or fail":
        "{1} 有 {0} 个特征很大（最大的是特征 {2}：{3}），且没有层对其缩放，训练会很慢或失败",
    "{0} of {1} features of {2} never vary: number {3}": "{2} 的 {1} 个特征中有 {0} 个从不变化：编号 {3}",
    "{0} (always {1})": "{0}（总是 {1}）",
    "Leave them out, {0}, or check how they were read.": "请去掉它们（{0}），或检查读取方式。",
    "Leave them out, {0}, or check how they were read; where they did vary, {1} is too coarse for numbers like {2}: "
    "write {3}.":
        "请去掉它们（{0}），或检查读取方式；若它们本有变化，{1} 对 {2} 这样的数太粗：请写 {3}。",
    "all {0} rows of {1} are the same, and their targets differ, so no model can distinguish them":
        "{1} 的 {0} 行全都相同，而目标不同，任何模型都无法区分",
    "Check how the inputs were read, and write inputs that vary instead.": "请检查输入的读取方式，使用有变化的输入。",
    # targets
    "the targets {0} range from {1} to {2}, and {3} at the end of the model gives {4}, so the model cannot reach {5} "
    "of them":
        "目标 {0} 从 {1} 到 {2}，而模型末尾的 {3} 只给出 {4}，因此有 {5} 的目标达不到",
    "{0} or more": "{0} 以上",
    "Write a last layer without activation, or scale the targets, instead.":
        "请让最后一层不带激活函数，或缩放目标。",
    "the metric {0} counts correct classes, and the targets {1} of the loss {2} are numbers from {3} to {4}, so the "
    "metric has no meaning":
        "指标 {0} 统计分对的类别，而损失 {2} 的目标 {1} 是从 {3} 到 {4} 的数，该指标没有意义",
    "Write metrics=['mae'], 'rmse' or 'r2' instead.": "请写 metrics=['mae']、'rmse' 或 'r2'。",
    "the loss {0} takes targets from 0 to 1, and {1} has {2} at row {3}, so the loss has no minimum":
        "损失 {0} 需要 0 到 1 的目标，而 {1} 在第 {3} 行为 {2}，损失因此没有最小值",
    "targets from 0 to 1, or loss='mse' for a regression,": "使用 0 到 1 的目标，回归则写 loss='mse'",
    "({0} + 1) / 2, or loss='hinge' with activation='tanh',": "({0} + 1) / 2，或 loss='hinge' 配 activation='tanh'",
    "the loss {0} takes targets with a sum of 1 in each row, and {1} of the rows of {2} have another (one has {3})":
        "损失 {0} 需要每行之和为 1 的目标，而 {2} 有 {1} 的行不是（例如 {3}）",
    "Write activation='sigmoid' with loss='binary_crossentropy' where a sample may have several classes or none, or y "
    "/ y.sum(-1, keepdims=True), instead.":
        "若一个样本可有多个类别或没有类别，请写 activation='sigmoid' 并配 loss='binary_crossentropy'；"
        "否则写 y / y.sum(-1, keepdims=True)。",
    "all {0} targets {1} are of class {2}, so the model can only learn to predict this class":
        "{1} 的 {0} 个目标全是类别 {2}，模型只能学会预测这一类别",
    "Check how the labels were read and the rows chosen; write rows of two classes or more instead.":
        "请检查标签的读取与行的选取，使用至少两个类别的行。",
    "all {0} targets {1} are {2}, so the model can only learn to predict this number":
        "{1} 的 {0} 个目标全是 {2}，模型只能学会预测这个数",
    "Check how the targets were read, and write targets that vary instead.": "请检查目标的读取方式，使用有变化的目标。",
    "class {0} is {1} times as frequent in {2} as class {3} ({4} and {5} of {6} samples), so a model that always "
    "predicts {7} is {8} accurate":
        "{2} 中类别 {0} 的数量是类别 {3} 的 {1} 倍（{6} 个样本中分别有 {4} 和 {5} 个），总是预测 {7} 的模型准确率就有"
        " {8}",
    "Write fit(..., class_weight='balanced'), and use the metric 'balanced_accuracy', instead.":
        "请写 fit(..., class_weight='balanced')，并使用指标 'balanced_accuracy'。",
    "the model has {0} outputs, and class {1} never occurs in the {2} targets {3}":
        "模型有 {0} 个输出，而类别 {1} 在 {3} 的 {2} 个目标中从未出现",
    "Write {0} outputs with labels numbered from 0, or rows of every class, instead.":
        "请用 {0} 个输出并让标签从 0 开始编号，或使用包含每个类别的行。",
    "Write {0} - 1 and {1} outputs if the labels are numbered from 1, or rows of every class, instead.":
        "若标签从 1 开始编号，请写 {0} - 1 并用 {1} 个输出；或使用包含每个类别的行。",
    "the targets {0} are large ({1} to {2}), so the loss starts near {3} and training will be slow or fail":
        "目标 {0} 很大（{1} 到 {2}），损失从约 {3} 开始，训练会很慢或失败",
    "Write ({0} - mean) / deviation of the training data, and scale predictions back, instead.":
        "请用训练数据写 ({0} - 均值) / 标准差，预测后再还原。",
    # validation
    "the validation data are the training data, so validation cannot show overfitting":
        "验证数据就是训练数据，验证看不出过拟合",
    "{0} of {1} validation rows are training rows too (row {2} is training row {3}), so validation results are too "
    "good":
        "{1} 行验证数据中有 {0} 行也是训练数据（第 {2} 行即训练的第 {3} 行），验证结果因此过好",
    "Write rows that are in one of them only instead: split before rows are repeated or augmented. Where equal rows "
    'are to be expected (few features of few values), write ignore=("RV401",).':
        '请让每行只在其中之一：先划分，再重复或增强。若相同的行本属正常（特征少、取值少），请写 ignore=("RV401",)。',
    "class {0} occurs in the validation targets ({1} rows) and never in the training targets {2}, so the model cannot "
    "learn it":
        "类别 {0} 出现在验证目标中（{1} 行），却从未出现在训练目标 {2} 中，模型学不到它",
    "Write rows drawn from all classes for both instead: shuffle x and y together before they are split.":
        "请让两者都含有所有类别的行：划分之前把 x 和 y 一起打乱。",
    "class {0} of the training targets {1} never occurs in the {2} validation targets, where about {3} rows of class "
    "{4} were to be expected":
        "训练目标 {1} 的类别 {0} 在 {2} 个验证目标中从未出现，而类别 {4} 预计应有约 {3} 行",
    "Write rows drawn from all classes for both instead: shuffle x and y together before they are split "
    "(validation_split takes the last rows).":
        "请让两者都含有所有类别的行：划分之前把 x 和 y 一起打乱（validation_split 取最后的行）。",
    "the validation inputs have another scale than the training inputs {0}: {1} against {2} (the root of the mean "
    "square)":
        "验证输入的尺度与训练输入 {0} 不同：{1} 对 {2}（均方根）",
    "Scale both in the same way, or with a layer of the model, instead.": "请用同样的方式缩放两者，或用模型中的层。",
    # trial steps
    "a relative change of its weights changes the loss {0} times less than the same change in layer {1}, so the layer "
    "will hardly learn":
        "其权重的相对变化对损失的影响比层 {1} 的同样变化小 {0} 倍，该层几乎学不到东西",
    "Write activation='relu' with kernel_initializer='he_normal', fewer layers, or a BatchNormalization between them, "
    "instead.":
        "请写 activation='relu' 并配 kernel_initializer='he_normal'，或减少层数，或在层间加 BatchNormalization。",
    "the outputs are so large that the loss starts at {0}, and with outputs of zero it would be {1}; this layer has "
    "the largest gradient, of norm {2}":
        "输出过大，损失从 {0} 开始，而输出为零时只有 {1}；该层的梯度最大，范数为 {2}",
    "Write kernel_initializer='glorot_uniform' (he_normal with relu), or a BatchNormalization between the layers, "
    "instead.":
        "请写 kernel_initializer='glorot_uniform'（relu 用 he_normal），或在层间加 BatchNormalization。",
    "with a learning rate of {0} the loss goes from {1} to {2} in {3} trial steps on the same rows, and the first step "
    "changes the weights by {4}":
        "学习率为 {0} 时，在相同的行上试训 {3} 步，损失从 {1} 变为 {2}，第一步使权重改变 {4}",
    "with a learning rate of {0} the loss goes from {1} to {2} in {3} trial steps on the same rows":
        "学习率为 {0} 时，在相同的行上试训 {3} 步，损失从 {1} 变为 {2}",
    "Write a learning rate of {0} or less instead.": "请用 {0} 或更小的学习率。",
    "the learning rate is 0, at which no step changes a weight": "学习率为 0，任何一步都不会改变权重",
    "Write a rate such as 0.001 instead.": "请写例如 0.001 的学习率。",
    "the learning rate is 0 from step {0} on, and one epoch has {1} steps; the schedule is {2}":
        "学习率从第 {0} 步起为 0，而一轮有 {1} 步；学习率计划为 {2}",
    "Write its length in steps, {0} times the number of epochs, instead.": "请按步数写其长度：{0} 乘以轮数。",
    "epsilon is 0, so that a weight without a gradient so far is divided by 0 and becomes NaN":
        "epsilon 为 0，至今没有梯度的权重会被 0 除而成为 NaN",
    "Write epsilon=1e-7, or leave it out, instead.": "请写 epsilon=1e-7，或省略它。",
    "the loss of some rows is {0} before the first step": "第一步之前，某些行的损失就是 {0}",
    "Check for NaN or infinity in the data and the weights, or write a loss that is finite there, instead.":
        "请检查数据和权重中是否有 NaN 或无穷大，或改用在那里有限的损失。",
    "{0} of the {1} relu units of this layer are zero for each of {2} sampled rows, so they no longer learn":
        "该层 {1} 个 relu 单元中有 {0} 个对抽样的 {2} 行全为零，不再学习",
    "Write a smaller learning rate, activation='leaky_relu', or scaled inputs, instead.":
        "请用更小的学习率、activation='leaky_relu'，或缩放后的输入。",
    "{0} of the {1} {2} units of this layer stay within 1 % of one end of their range for each of {3} sampled rows, "
    "where the gradient is nearly zero":
        "该层 {1} 个 {2} 单元中有 {0} 个对抽样的 {3} 行都停在其范围一端的 1 % 之内，那里梯度几乎为零",
    "Write a smaller learning rate, scaled inputs, or activation='relu', instead.":
        "请用更小的学习率、缩放后的输入，或 activation='relu'。",
    # predictions
    "{0}, and no output is NaN": "{0}，而输出中没有 NaN", "{0} has nan at {1}": "{0} 在 {1} 处为 nan",
    "{0} has nan at {1}, and {2} has nan at {3}": "{0} 在 {1} 处为 nan，{2} 在 {3} 处也是 nan",
    "Write np.nan_to_num(x), the values with which the training data were filled, or x without these rows, instead.":
        "请写 np.nan_to_num(x)、填补训练数据时所用的值，或去掉这些行的 x。",
    "{0}, because weight {1} of layer {2} has NaN": "{0}，因为层 {2} 的权重 {1} 含有 NaN",
    "Load weights that were saved before, or train again with a smaller learning rate.":
        "请载入以前保存的权重，或用更小的学习率重新训练。",
    "{0}, and neither the inputs nor the weights have NaN: a value of the network is infinite, or outside the domain "
    "of a function such as log or sqrt":
        "{0}，而输入和权重都没有 NaN：网络中有值为无穷大，或超出了 log、sqrt 之类函数的定义域",
    "Write inputs of the scale of the training data, and log(x + 1e-7) for log(x), instead.":
        "请用与训练数据同样尺度的输入，并把 log(x) 写成 log(x + 1e-7)。",
    # a fix in two parts
    "Write {0} instead.": "请改用：{0}。",
}  # fmt: skip
