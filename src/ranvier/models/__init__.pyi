# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.interop.files import load_model as load_model
from ranvier.interop.files import save as save_model
from ranvier.models.generation import generate as generate
from ranvier.models.language import char_lm as char_lm
from ranvier.models.language import gpt as gpt
from ranvier.models.language import seq2seq as seq2seq
from ranvier.models.mobile import InvertedResidual as InvertedResidual
from ranvier.models.mobile import mobilenet_small as mobilenet_small
from ranvier.models.plain import cnn as cnn
from ranvier.models.plain import lenet5 as lenet5
from ranvier.models.plain import mlp as mlp
from ranvier.models.plain import vgg_small as vgg_small
from ranvier.models.residual import ResidualBlock as ResidualBlock
from ranvier.models.residual import resnet as resnet
from ranvier.models.speech import speech_classifier as speech_classifier
from ranvier.models.text import text_classifier as text_classifier
from ranvier.models.vision import BasicBlock as BasicBlock
from ranvier.models.vision import InvertedBlock as InvertedBlock
from ranvier.models.vision import MobileNetV2 as MobileNetV2
from ranvier.models.vision import ResNet as ResNet
from ranvier.models.vision import mobilenet_v2 as mobilenet_v2
from ranvier.models.vision import resnet18 as resnet18
from ranvier.models.vision import resnet34 as resnet34
from ranvier.module import Module as Model
from ranvier.module import Sequential as Sequential
from ranvier.module.key_values import KeyValueCache as KeyValueCache
from ranvier.saving import clone_model as clone_model
from ranvier.saving import model_from_json as model_from_json

__all__ = ['BasicBlock', 'InvertedBlock', 'InvertedResidual', 'KeyValueCache', 'MobileNetV2', 'Model', 'ResNet', 'ResidualBlock', 'Sequential', 'char_lm', 'clone_model', 'cnn', 'generate', 'gpt', 'lenet5', 'load_model', 'mlp', 'mobilenet_small', 'mobilenet_v2', 'model_from_json', 'resnet', 'resnet18', 'resnet34', 'save_model', 'seq2seq', 'speech_classifier', 'text_classifier', 'vgg_small']
