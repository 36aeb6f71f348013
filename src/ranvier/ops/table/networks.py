"""Rows of the parts of networks: convolutions, pooling, normalization, dropout, losses."""

from __future__ import annotations

from ranvier.ops.table.row import Row, each

F = "functional.activations"

IMAGES = (
    "adaptive_average_pool adaptive_max_pool average_pool batch_normalization conv conv_transpose depth_to_space "
    "depthwise_conv layer_normalization max_pool multi_hot psnr rms_normalization separable_conv "
    "space_to_depth"
)
LOSSES = "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy"


def both(names: str, prefix: str) -> str:
    """The names, and the same with the prefix of a module."""
    return " ".join([*names.split(), *(prefix + name for name in names.split())])


ROWS = (
    *each("keras", "keras.images", both(IMAGES, "nn.")),
    *each("keras", "keras.pixels", "image.crop_images image.extract_patches image.extract_patches_3d image.gaussian_blur image.hsv_to_rgb image.pad_images image.resize image.rgb_to_grayscale image.rgb_to_hsv image.scale_and_translate image.sobel_edges image.ssim"),
    *each("keras", "keras.warps", "image.affine_transform image.map_coordinates image.perspective_transform"),
    *each("keras", "keras.signals", "extract_sequences fft fft2 ifft2 irfft istft rfft stft"),
    *each("keras", "keras.attention", both("dot_product_attention", "nn.")),
    *each("keras", "keras.elementwise", both(f"{LOSSES} normalize", "nn.")),
    *each("keras", "keras.ctc", both("ctc_decode ctc_loss", "nn.")),
    Row("unfold", "torch.patches:unfold", "unfold nn.unfold(x, kernel_size, dilation=1, padding=0, stride=1)"),
    Row("fold", "torch.patches:fold", "fold nn.fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1)"),
    *each("torch", "torch.ctc", "F.ctc_loss"),
    Row("linear", torch="F.linear -> torch.products:linear"),
    *each("torch", "torch.embedding", "embedding F.embedding F.embedding_bag"),
    *each("torch", "torch.convolution", both("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d", "F.")),
    *each("torch", "torch.pooling", both("adaptive_avg_pool1d avg_pool1d max_pool1d max_pool2d max_pool3d", "F.")),
    *each("torch", "torch.pooling", "F.adaptive_avg_pool2d F.adaptive_avg_pool3d F.adaptive_max_pool1d F.adaptive_max_pool2d "
          "F.adaptive_max_pool3d F.avg_pool2d F.avg_pool3d F.max_unpool1d F.max_unpool2d F.max_unpool3d"),
    *each("torch", "torch.normalization", "F.batch_norm F.group_norm F.instance_norm F.layer_norm F.rms_norm group_norm layer_norm rms_norm"),
    Row("local_response_norm", "torch.normalization:local_response_norm", torch="F.local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0)"),
    Row("normalize", f"{F}:normalize", torch="F.normalize(input, p=2.0, dim: axis = 1, eps=1e-12)"),
    Row("cosine_similarity", f"{F}:cosine_similarity", torch="cosine_similarity F.cosine_similarity(x1, x2, dim=1, eps=1e-8)"),
    Row("pairwise_distance", f"{F}:pairwise_distance", torch="pairwise_distance F.pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False)"),
    *each("torch", "torch.noise", both("alpha_dropout dropout feature_alpha_dropout", "F.")),
    *each("torch", "torch.noise", "alpha_dropout_ dropout_ feature_alpha_dropout_ F.dropout1d F.dropout2d F.dropout3d F.gumbel_softmax"),
    *each("torch", "torch.products", both("bilinear", "F.")),
    *each("torch", "torch.attention", "F.scaled_dot_product_attention"),
    *each("torch", "torch.signals", "bartlett_window blackman_window hamming_window hann_window stft"),
    *each("torch", "torch.calculus", "kaiser_window pdist F.pdist"),
    *each("torch", "torch.random_pooling", "F.fractional_max_pool2d F.fractional_max_pool3d"),
    *each("torch", "torch.pooling", "F.lp_pool1d F.lp_pool2d F.lp_pool3d"),
    *each("torch", "torch.noise", both("rrelu rrelu_", "F.")),
    *each("torch", "torch.spatial", both("pixel_shuffle pixel_unshuffle", "F.")),
    *each("torch", "torch.spatial", "F.channel_shuffle channel_shuffle F.interpolate F.pad F.upsample F.upsample_bilinear F.upsample_nearest"),
    *each("torch", "torch.patches", "F.affine_grid F.fold F.grid_sample F.unfold"),
    *each("torch", "torch.losses", "F.cosine_embedding_loss F.gaussian_nll_loss F.hinge_embedding_loss F.margin_ranking_loss "
          "F.multi_margin_loss F.multilabel_margin_loss F.multilabel_soft_margin_loss F.poisson_nll_loss F.soft_margin_loss F.triplet_margin_loss "
          "F.triplet_margin_with_distance_loss"),
    *each("torch", "torch.loss_arguments", "F.binary_cross_entropy F.binary_cross_entropy_with_logits F.cross_entropy F.huber_loss "
          "F.kl_div F.l1_loss F.mse_loss F.nll_loss F.smooth_l1_loss"),
)  # fmt: skip
