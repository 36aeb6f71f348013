# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.datasets import digits as digits
from ranvier.datasets import fashion_mnist as fashion_mnist
from ranvier.datasets import fortunes as fortunes
from ranvier.datasets import letter_recognition as letter_recognition
from ranvier.datasets import mnist as mnist
from ranvier.datasets import reuters_r8 as reuters_r8
from ranvier.datasets import shuttle as shuttle
from ranvier.datasets import voices as voices
from ranvier.datasets.dataset import DatasetUnavailable as DatasetUnavailable
from ranvier.datasets.digits import load_data as load_digits
from ranvier.datasets.fashion_mnist import load_data as load_fashion_mnist
from ranvier.datasets.fortunes import load_data as load_fortunes
from ranvier.datasets.letter_recognition import load_data as load_letter_recognition
from ranvier.datasets.loading import load as load
from ranvier.datasets.mnist import load_data as load_mnist
from ranvier.datasets.reuters_r8 import load_data as load_reuters_r8
from ranvier.datasets.shuttle import load_data as load_shuttle
from ranvier.datasets.voices import load_data as load_voices

__all__ = ['DatasetUnavailable', 'digits', 'fashion_mnist', 'fortunes', 'letter_recognition', 'load_digits', 'load_fashion_mnist', 'load_fortunes', 'load_letter_recognition', 'load_mnist', 'load_reuters_r8', 'load_shuttle', 'load_voices', 'mnist', 'reuters_r8', 'shuttle', 'voices']
