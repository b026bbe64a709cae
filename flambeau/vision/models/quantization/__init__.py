"""Networks for images that can be made of 8-bit integers, by torchvision's names and weights.

>>> from flambeau.vision.models import quantization
>>> net = quantization.shufflenet_v2_x0_5(quantize=True)
>>> type(net.fc).__name__
'Linear'
"""

from .googlenet import *
from .inception import *
from .mobilenet import *
from .resnet import *
from .shufflenetv2 import *
