# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.torch.utils.data.dataloader import DataLoader as DataLoader
from ranvier.torch.utils.data.dataloader import default_collate as default_collate
from ranvier.torch.utils.data.dataloader import default_convert as default_convert
from ranvier.torch.utils.data.dataloader import get_worker_info as get_worker_info
from ranvier.torch.utils.data.dataset import ChainDataset as ChainDataset
from ranvier.torch.utils.data.dataset import ConcatDataset as ConcatDataset
from ranvier.torch.utils.data.dataset import Dataset as Dataset
from ranvier.torch.utils.data.dataset import IterableDataset as IterableDataset
from ranvier.torch.utils.data.dataset import StackDataset as StackDataset
from ranvier.torch.utils.data.dataset import Subset as Subset
from ranvier.torch.utils.data.dataset import TensorDataset as TensorDataset
from ranvier.torch.utils.data.dataset import random_split as random_split
from ranvier.torch.utils.data.sampler import BatchSampler as BatchSampler
from ranvier.torch.utils.data.sampler import DistributedSampler as DistributedSampler
from ranvier.torch.utils.data.sampler import RandomSampler as RandomSampler
from ranvier.torch.utils.data.sampler import Sampler as Sampler
from ranvier.torch.utils.data.sampler import SequentialSampler as SequentialSampler
from ranvier.torch.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from ranvier.torch.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler

__all__ = ['BatchSampler', 'ChainDataset', 'ConcatDataset', 'DataLoader', 'Dataset', 'DistributedSampler', 'IterableDataset', 'RandomSampler', 'Sampler', 'SequentialSampler', 'StackDataset', 'Subset', 'SubsetRandomSampler', 'TensorDataset', 'WeightedRandomSampler', 'default_collate', 'default_convert', 'get_worker_info', 'random_split']
