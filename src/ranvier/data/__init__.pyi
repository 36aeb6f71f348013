# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.data import datasets as datasets
from ranvier.data.buckets import BucketedDataset as BucketedDataset
from ranvier.data.buckets import batches_by_length as batches_by_length
from ranvier.data.clips import Windows as Windows
from ranvier.data.clips import windows_of as windows_of
from ranvier.data.image_folder import ImageFolder as ImageFolder
from ranvier.data.image_folder import images_from_folder as images_from_folder
from ranvier.data.samplers import BalancedSampler as BalancedSampler
from ranvier.data.samplers import Sampler as Sampler
from ranvier.data.samplers import WeightedSampler as WeightedSampler
from ranvier.data.sound_files import Sound as Sound
from ranvier.data.sound_files import load_sound as load_sound
from ranvier.data.text_files import LabelledTexts as LabelledTexts
from ranvier.data.text_files import texts_from_csv as texts_from_csv
from ranvier.datasets import DatasetUnavailable as DatasetUnavailable
from ranvier.datasets import load_digits as load_digits
from ranvier.datasets import load_fashion_mnist as load_fashion_mnist
from ranvier.datasets import load_mnist as load_mnist

__all__ = ['BalancedSampler', 'BucketedDataset', 'DatasetUnavailable', 'ImageFolder', 'LabelledTexts', 'Sampler', 'Sound', 'WeightedSampler', 'Windows', 'batches_by_length', 'images_from_folder', 'load_digits', 'load_fashion_mnist', 'load_mnist', 'load_sound', 'texts_from_csv', 'windows_of']
