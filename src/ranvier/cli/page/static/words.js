// The words of the page, in English and in Chinese.
const WORDS = {
  skip: ["Skip to the network", "跳到网络"],
  controls: ["Training", "训练控制"],
  reset: ["Reset", "重置"], resetHint: ["Start again with new weights (R)", "用新的权重重新开始 (R)"],
  run: ["Train", "训练"], pause: ["Pause", "暂停"], runHint: ["Train or pause (space)", "训练或暂停 (空格)"],
  step: ["One step", "一步"], stepHint: ["One batch (.)", "一个批次 (.)"],
  epoch: ["One epoch", "一轮"], epochHint: ["All batches once (E)", "所有批次一遍 (E)"],
  speed: ["Epochs per second", "每秒轮数"], perSecond: ["{0} epochs/s", "每秒 {0} 轮"], fastest: ["fastest", "最快"],
  epochs: ["epochs", "轮"], trainLoss: ["training loss", "训练损失"], testLoss: ["test loss", "测试损失"],
  accuracy: ["test accuracy", "测试准确率"], mae: ["test error (MAE)", "测试误差 (MAE)"],
  language: ["Language", "语言"], data: ["Data", "数据"], network: ["Network", "网络"], output: ["Output", "输出"],
  views: ["Views", "视图"], curves: ["Curves", "曲线"], histograms: ["Histograms", "直方图"],
  steps: ["Step by step", "逐步计算"], export: ["Take it with you", "导出"],
  circles: ["circles", "圆环"], xor: ["xor", "异或"], moons: ["moons", "月牙"], spirals: ["spirals", "螺旋"],
  gaussians: ["clouds", "高斯团"], plane: ["plane", "平面"], hills: ["hills", "山丘"], points: ["by hand", "手动"],
  digits: ["digits", "手写数字"], table: ["CSV file", "CSV 文件"], given: ["yours", "您的数据"],
  count: ["points", "点数"], noise: ["noise", "噪声"], test: ["share for the test", "测试比例"],
  samples: ["{0} for training, {1} for the test", "训练 {0} 个，测试 {1} 个"],
  invented: ["The inputs are random, and the targets are what the model said of them", "输入是随机的，目标是模型对它们给出的答案"],
  stop: [". ", "。"], text: ["text", "文本"],
  runTitle: ["The run {0}", "训练结果 {0}"], runColumns: ["The columns of the data", "数据的各列"],
  runReport: ["The report of the training", "训练的报告"], runReportNote: ["What ranvier report writes of the run: the model as ranvier train left it.", "即 ranvier report 对这次训练所写的报告：模型为 ranvier train 得到的状态。"],
  layersBeside: ["{0} layers", "{0} 层并列"],
  outputShown: ["output that is shown", "显示的输出"],
  optimizer: ["optimizer", "优化器"], rate: ["learning rate", "学习率"], loss: ["loss", "损失函数"],
  penalty: ["regularization", "正则化"], penalty_rate: ["its rate", "正则化系数"], dropout: ["dropout", "随机失活"],
  batch: ["batch size", "批大小"], seed: ["seed", "随机种子"], none: ["none", "无"],
  crossentropy: ["cross entropy", "交叉熵"], mse: ["mean squared error", "均方误差"], maeLoss: ["mean absolute error", "平均绝对误差"], huber: ["Huber", "Huber"],
  inputs: ["inputs", "输入"], outputs: ["outputs", "输出"], units: ["units", "神经元"], filters: ["filters", "卷积核"],
  layer: ["layer {0}", "第 {0} 层"], addLayer: ["Add a layer", "加一层"], removeLayer: ["remove", "删除"],
  more: ["more units in layer {0}", "第 {0} 层加神经元"], fewer: ["fewer units in layer {0}", "第 {0} 层减神经元"],
  activationOf: ["activation of layer {0}", "第 {0} 层的激活函数"], kindOf: ["kind of layer {0}", "第 {0} 层的类型"],
  removeLayerOf: ["remove layer {0}", "删除第 {0} 层"], removeRunOf: ["remove run {0}", "删除运行 {0}"],
  statusLine: ["epochs {0}, training loss {1}, test loss {2}, {3} {4}", "{0} 轮，训练损失 {1}，测试损失 {2}，{3} {4}"], running: ["It trains", "正在训练"],
  cursorAt: ["x {0}, y {1}", "x {0}，y {1}"], setAt: ["{0} set at x {1}, y {2}: {3} points", "已在 x {1}，y {2} 放置{0}：共 {3} 个点"],
  runValues: ["run {0}: training {1}, test {2}", "运行 {0}：训练 {1}，测试 {2}"],
  dense: ["dense", "全连接"], conv: ["convolution", "卷积"], pool: ["pooling", "池化"],
  parameters: ["{0} weights. Lines are weights: blue is positive, orange negative. {1}", "{0} 个权重。连线是权重：蓝为正，橙为负。{1}"],
  ofPlane: ["Each square is a neuron's output over the plane.", "每个方块是一个神经元在平面上的输出。"],
  ofImage: ["Each square is a neuron's output for the image that you draw or choose.", "每个方块是一个神经元对您所画或所选图像的输出。"],
  ofRow: ["Each square is what a neuron gives for the row of the table that you choose.", "每个方块是一个神经元对您在表中所选行的输出。"],
  ofSequence: ["Each square is what a neuron gives for the row that you choose, of a sequence from step to step.", "每个方块是一个神经元对您所选行的输出，序列则从左到右逐步显示。"],
  hiddenUnits: ["+{0}", "+{0}"],
  showTest: ["show test points", "显示测试点"], low: ["low", "低"], high: ["high", "高"], className: ["class {0}", "第 {0} 类"],
  planeLabel: ["The plane with the data and what the network gives at each point. Test accuracy {0}.", "平面：数据与网络在每点的输出。测试准确率 {0}。"],
  netLabel: ["The network: {0} inputs, layers of {1} units.", "网络：{0} 个输入，各层 {1} 个单元。"],
  place: ["Click on the plane, or use the arrow keys and Enter, to set points of", "在平面上点击，或用方向键和回车，放置"],
  clear: ["Remove all points", "清除所有点"], placed: ["{0} points", "{0} 个点"],
  pointsNeeded: ["Set at least four points of two classes.", "至少放置两类共四个点。"],
  lossOf: ["loss", "损失"], accuracyOf: ["accuracy", "准确率"], maeOf: ["mean absolute error", "平均绝对误差"],
  byEpoch: ["by epochs", "按轮数"], training: ["training", "训练"], testing: ["test", "测试"], thisRun: ["this run", "本次运行"],
  keepRuns: ["Earlier runs stay until you remove them.", "以前的运行会保留，直到您删除。"], removeRun: ["remove", "删除"],
  runLine: ["epochs: {0}, test loss: {1}", "{0} 轮，测试损失 {1}"], noCurve: ["The curves begin with training.", "训练后显示曲线。"],
  activations: ["outputs of {0}", "{0} 的输出"], gradients: ["gradients of {0}", "{0} 的梯度"], size: ["mean size {0}", "平均大小 {0}"],
  histNote: ["On {0} training samples: how large the outputs of each layer are, and the gradients of its weights. Gradients that shrink from layer to layer say that the first layers hardly learn.", "基于 {0} 个训练样本：每层输出的大小及其权重的梯度。若梯度逐层变小，则前面的层几乎不学习。"],
  row: ["sample", "样本"], ofTraining: ["training data", "训练集"], ofTest: ["test data", "测试集"], part: ["from", "来自"],
  compute: ["Compute", "计算"], makeStep: ["Make this step", "执行这一步"], another: ["Next sample", "下一个样本"],
  stepsNote: ["One training step on one sample, with every number: those of model.explain_step.", "用一个样本做一步训练，显示每个数：即 model.explain_step 的结果。"],
  forward: ["Forward: sums and outputs", "前向：加权和与输出"], lossStage: ["Loss", "损失"],
  backward: ["Backward: deltas by the chain rule", "反向：用链式法则求 delta"], update: ["Update of the weights", "更新权重"],
  neuron: ["neuron", "神经元"], formula: ["inputs · weights + bias", "输入 · 权重 + 偏置"], sum: ["sum", "加权和"], out: ["output", "输出"],
  fromNext: ["weights of {0} · its deltas", "{0} 的权重 · 其 delta"], gradient: ["gradient", "梯度"], slope: ["slope", "斜率"], delta: ["delta", "delta"],
  mixed: ["mixed", "混合"], weight: ["weight", "权重"], before: ["before", "更新前"], after: ["after", "更新后"], product: ["input · delta", "输入 · delta"],
  together: ["{0} and {1} have one derivative by the sums: output − target.", "{0} 与 {1} 合起来对加权和的导数：输出 − 目标。"],
  direct: ["The derivative of the loss by the sums.", "损失对加权和的导数。"],
  lossLine: ["{0} = {1} for the target {2}", "{0} = {1}，目标 {2}"], penalized: ["with the penalties of regularizers", "含正则化项"],
  range: ["outputs {0}, from {1} to {2}", "输出 {0}，从 {1} 到 {2}"], gradientRange: ["gradients by the outputs from {0} to {1}, norm {2}", "对输出的梯度从 {0} 到 {1}，范数 {2}"],
  largest: ["The largest output: filter {0}, row {1}, column {2}. The kernel lies on these pixels; the products are added, and the bias.", "最大的输出：卷积核 {0}，第 {1} 行第 {2} 列。卷积核盖在这些像素上；把乘积相加，再加偏置。"],
  pixels: ["pixels", "像素"], kernel: ["kernel", "卷积核"], products: ["products", "乘积"], ofChannel: ["of channel {0}", "（通道 {0}）"], otherChannels: ["other channels", "其他通道"],
  ofMany: ["sum of {0} products", "{0} 个乘积之和"], moreRows: ["… {0} more", "… 还有 {0} 个"], moreColumns: ["… and {0} columns more", "… 还有 {0} 列"], by: ["by {0}", "用 {0}"],
  keys: ["Keys: space trains or pauses, . makes a step, E an epoch, R starts again. Everything happens on this machine.", "快捷键：空格训练或暂停，. 一步，E 一轮，R 重新开始。一切都在本机进行。"],
  program: ["The program", "程序"], copy: ["Copy", "复制"], copied: ["Copied", "已复制"],
  modelFile: ["The trained model", "训练好的模型"], modelNote: ["With its weights as they are now. .ranvier and .keras are read by rv.load_model, .keras also by Keras, .onnx by many programs.", "包含当前权重。.ranvier 与 .keras 可用 rv.load_model 读取，.keras 也可用 Keras 读取，.onnx 可用于许多程序。"],
  report: ["The report", "报告"], reportNote: ["One file about the network on the test data: scores beside baselines, mistakes, and what its answers depend on.", "一份关于网络在测试数据上表现的文件：得分与基线、错误、以及答案所依赖的因素。"],
  drawHere: ["Draw here, with mouse, finger, or arrow keys (space lowers and lifts the pen).", "在此绘制：用鼠标、手指或方向键（空格落笔与提笔）。"],
  padLabel: ["A place to draw an image for the network", "绘制图像的区域"], clearPad: ["Clear", "清除"],
  orChoose: ["Or choose a test image", "或选择一张测试图像"], imageOf: ["test image of {0}", "{0} 的测试图像"],
  seen: ["what the network gets", "网络收到的图像"], saliency: ["what its answer depends on", "答案所依赖的像素"],
  kernels: ["kernels of {0}", "{0} 的卷积核"], mapsOf: ["maps of {0}", "{0} 的特征图"],
  chooseFile: ["Choose a CSV file", "选择 CSV 文件"], target: ["target", "目标列"], tableNote: ["{0} rows. Choose the column to predict.", "{0} 行。请选择要预测的列。"],
  firstRows: ["The first test rows, as the network gets them", "前几行测试数据（网络收到的数值）"], predicted: ["predicted", "预测"],
  ended: ["The connection to Ranvier has ended. Start it again and load the new address.", "与 Ranvier 的连接已断开。请重新启动并打开新地址。"],
  diverged: ["Training stopped: {0}", "训练停止：{0}"],
};
let language = localStorage.getItem("language") || ((navigator.language || "en").startsWith("zh") ? "zh" : "en");

export const current = () => language;

// A word or sentence in the page's language, with values in the places of {0}, {1}.
export function t(key, ...values) {
  const found = WORDS[key];
  const text = found ? found[language === "zh" ? 1 : 0] : key;
  return text.replace(/\{(\d)\}/g, (_, i) => values[Number(i)] ?? "");
}
// Why something went wrong, in the page's language.
export const reason = (error) => (language === "zh" && error.chinese) || error.message || error.error;

export function setLanguage(value) {
  language = value;
  localStorage.setItem("language", value);
}

// Puts the words into the elements that name them.
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
}
