"""``torch.utils.data``: data sets, samplers and loaders."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("torch.utils.data", {
    "ranvier.torch.utils.data.dataloader": "DataLoader default_collate default_convert get_worker_info",
    "ranvier.torch.utils.data.dataset":
        "ChainDataset ConcatDataset Dataset IterableDataset StackDataset Subset TensorDataset random_split",
    "ranvier.torch.utils.data.sampler":
        "BatchSampler DistributedSampler RandomSampler Sampler SequentialSampler SubsetRandomSampler "
        "WeightedRandomSampler",
})  # fmt: skip
