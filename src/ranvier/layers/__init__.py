"""The layers of the Keras vocabulary. ``REGISTRY`` holds every class that a saved model can name.

A layer is called on a tensor whose first dimension is that of the samples: (samples, features), (samples, steps,
features), or (samples, height, width, channels). Arguments that several layers share: ``activation``,
``*_initializer``, ``*_regularizer`` and ``*_constraint`` take a name or an object; ``data_format`` is "channels_last"
or "channels_first"; ``padding`` is "valid" or "same"; ``strides`` and ``pool_size`` are a number or one for each
dimension; ``seed`` fixes the random numbers of this layer; ``trainable``, ``dtype`` and ``name`` are those of every
layer. The names, arguments and defaults are those of Keras 3. Shapes that do not fit raise ValueError, which names the
layer and the line that made it.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.layers", {
    "ranvier.layers.activations": "ELU LeakyReLU ReLU Softmax",
    "ranvier.layers.attention": "AdditiveAttention Attention",
    "ranvier.layers.augmentation": "CutMix RandomBrightness RandomContrast RandomErasing",
    "ranvier.layers.base": "Layer",
    "ranvier.layers.bidirectional": "Bidirectional",
    "ranvier.layers.byte_pairs": "BytePairEncoding",
    "ranvier.layers.cells": "GRUCell LSTMCell SimpleRNNCell",
    "ranvier.layers.coloring":
        "AutoContrast RandomColorDegeneration RandomColorJitter RandomGaussianBlur RandomGrayscale RandomHue "
        "RandomInvert RandomPosterization RandomSaturation RandomSharpness Solarization",
    "ranvier.layers.conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "ranvier.layers.convolution":
        "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D=Conv1D "
        "Convolution1DTranspose=Conv1DTranspose Convolution2D=Conv2D Convolution2DTranspose=Conv2DTranspose "
        "Convolution3D=Conv3D Convolution3DTranspose=Conv3DTranspose",
    "ranvier.layers.core": "Activation Flatten Input InputLayer=Input Rescaling",
    "ranvier.layers.input_spec": "InputSpec",
    "ranvier.layers.dense": "Dense",
    "ranvier.layers.discretization": "Discretization",
    "ranvier.layers.dropout":
        "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D "
        "SpatialDropout2D SpatialDropout3D",
    "ranvier.layers.einsum_dense": "EinsumDense",
    "ranvier.layers.embedding": "CategoryEncoding Embedding Identity PReLU ReversibleEmbedding",
    "ranvier.layers.feature_space": "-Cross -Feature -FeatureSpace",
    "ranvier.layers.hashing": "-CrossedIndices HashedCrossing Hashing",
    "ranvier.layers.lookup": "IntegerLookup StringLookup",
    "ranvier.layers.merging":
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot maximum "
        "minimum multiply subtract",
    "ranvier.layers.masking": "Masking",
    "ranvier.layers.mixup": "MixUp",
    "ranvier.layers.multi_head_attention": "GroupQueryAttention MultiHeadAttention",
    "ranvier.layers.normalization": "BatchNormalization LayerNormalization",
    "ranvier.layers.normalization_group":
        "GroupNormalization InstanceNormalization RMSNormalization UnitNormalization",
    "ranvier.layers.operators": "-GetItem -Operation",
    "ranvier.layers.pooling":
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
        "AvgPool1D=AveragePooling1D AvgPool2D=AveragePooling2D AvgPool3D=AveragePooling3D "
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
        "GlobalAvgPool1D=GlobalAveragePooling1D GlobalAvgPool2D=GlobalAveragePooling2D "
        "GlobalAvgPool3D=GlobalAveragePooling3D GlobalMaxPool1D=GlobalMaxPooling1D "
        "GlobalMaxPool2D=GlobalMaxPooling2D GlobalMaxPool3D=GlobalMaxPooling3D GlobalMaxPooling1D "
        "GlobalMaxPooling2D GlobalMaxPooling3D MaxPool1D=MaxPooling1D MaxPool2D=MaxPooling2D "
        "MaxPool3D=MaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D",
    "ranvier.layers.policies":
        "AugMix Equalization RandAugment RandomPerspective",
    "ranvier.layers.positions": "PositionEmbedding RotaryEmbedding SinePositionEncoding",
    "ranvier.layers.preprocessing": "Normalization",
    "ranvier.layers.recurrent": "GRU LSTM SimpleRNN",
    "ranvier.layers.resampling":
        "CenterCrop RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom Resizing",
    "ranvier.layers.rnn": "RNN",
    "ranvier.layers.separable":
        "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D=SeparableConv1D "
        "SeparableConvolution2D=SeparableConv2D",
    "ranvier.layers.shaping":
        "Cropping1D Cropping2D Cropping3D Lambda Permute RepeatVector Reshape UpSampling1D UpSampling2D "
        "UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "ranvier.layers.spectral_normalization": "SpectralNormalization",
    "ranvier.layers.stacked_cells": "StackedRNNCells",
    "ranvier.layers.text_vectorization": "TextVectorization",
    "ranvier.layers.wrappers": "Pipeline TimeDistributed Wrapper",
    "ranvier.layers.shear": "RandomShear",
    "ranvier.layers.signal_augmentation": "RandomNoise RandomShift SpecAugment",
    "ranvier.layers.spectra": "MFCC MelSpectrogram STFTSpectrogram",
    "ranvier.module.serialization": "REGISTRY",
    "ranvier.support.serialized": "deserialize=deserialize_keras_object serialize=serialize_keras_object",
}, {
    "RandomCutout": "RandomErasing",
    "Linear": "Dense, or Linear in ranvier.torch.nn",
    "Conv2d": "Conv2D, or Conv2d in ranvier.torch.nn",
    "Sequential": "rv.Sequential",
})  # fmt: skip
