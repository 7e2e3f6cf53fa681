"""Floor 2: small networks that models share.

A network keeps what its constructor was given in `arguments`, so that it can be saved as names and numbers and built again.
"""

from latentry.networks.channels_last import channels_last
from latentry.networks.cho2020 import Cho2020Discriminator, Cho2020Generator
from latentry.networks.conditional_flow import ConditionalFlow
from latentry.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from latentry.networks.encoder import ConvolutionalEncoder, VectorEncoder
from latentry.networks.flow_decoder import FlowDecoder
from latentry.networks.folding import folded
from latentry.networks.image_classifier import PlainClassifier, ResidualClassifier
from latentry.networks.perceptron import Perceptron
from latentry.networks.zheng2019 import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder

__all__ = [
    "Cho2020Discriminator",
    "Cho2020Generator",
    "ConditionalFlow",
    "ConvolutionalEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "FlowDecoder",
    "Perceptron",
    "PlainClassifier",
    "ResidualClassifier",
    "VectorEncoder",
    "Zheng2019Decoder",
    "Zheng2019Discriminator",
    "Zheng2019Encoder",
    "channels_last",
    "folded",
]
