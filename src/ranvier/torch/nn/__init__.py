"""``torch.nn``: modules with PyTorch's names, arguments, defaults and initial values."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("torch.nn", {
    "ranvier.module": "Module Parameter Sequential",
    "ranvier.torch.nn.": "attention functional init parallel utils",
    "ranvier.torch.nn.activations":
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid LogSoftmax "
        "Mish RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmin Softplus Softshrink Softsign Tanh Tanhshrink "
        "Threshold",
    "ranvier.torch.nn.adaptive": "AdaptiveLogSoftmaxWithLoss",
    "ranvier.torch.nn.attention": "MultiheadAttention",
    "ranvier.torch.nn.buffer": "Buffer",
    "ranvier.torch.nn.containers": "ModuleDict ModuleList ParameterDict ParameterList",
    "ranvier.torch.nn.convolution": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "ranvier.torch.nn.embedding": "Embedding EmbeddingBag",
    "ranvier.torch.nn.groups": "GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d RMSNorm",
    "ranvier.torch.nn.layers": "AlphaDropout Dropout FeatureAlphaDropout Flatten Linear Unflatten",
    "ranvier.torch.nn.lazy":
        "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d "
        "LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d LazyLinear",
    "ranvier.torch.nn.losses":
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss "
        "HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiLabelMarginLoss "
        "MultiLabelSoftMarginLoss MultiMarginLoss "
        "NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss",
    "ranvier.torch.nn.normalization": "BatchNorm1d BatchNorm2d BatchNorm3d LayerNorm SyncBatchNorm",
    "ranvier.torch.nn.pairs":
        "Bilinear ChannelShuffle CosineSimilarity LocalResponseNorm PReLU PairwiseDistance "
        "Softmax2d",
    "ranvier.torch.nn.parallel": "DataParallel",
    "ranvier.torch.nn.pooling":
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
        "AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d MaxPool1d MaxPool2d MaxPool3d "
        "MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "ranvier.torch.nn.power_pooling": "LPPool1d LPPool2d LPPool3d",
    "ranvier.torch.nn.random_pooling": "FractionalMaxPool2d FractionalMaxPool3d",
    "ranvier.torch.nn.recurrent": "GRU LSTM RNN RNNBase",
    "ranvier.torch.nn.recurrent_cells": "GRUCell LSTMCell RNNCell RNNCellBase",
    "ranvier.torch.nn.shaping":
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d Dropout1d "
        "Dropout2d Dropout3d Fold PixelShuffle PixelUnshuffle ReflectionPad1d ReflectionPad2d ReflectionPad3d "
        "ReplicationPad1d ReplicationPad2d ReplicationPad3d Unfold Upsample UpsamplingBilinear2d UpsamplingNearest2d "
        "ZeroPad1d ZeroPad2d ZeroPad3d",
    "ranvier.torch.nn.transformer":
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer",
})  # fmt: skip
