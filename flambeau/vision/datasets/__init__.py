"""Image datasets, read from their original files. Modules are imported on first use."""

_WHERE = {
    "mnist": "EMNIST KMNIST MNIST FashionMNIST MNISTSample QMNIST",
    "vision": "VisionDataset",
    "folder": "DatasetFolder ImageFolder",
    "fakedata": "FakeData",
    "arrays": "CIFAR10 CIFAR100 SEMEION STL10 SVHN USPS MovingMNIST",
    "listed": "DTD FER2013 GTSRB SUN397 CLEVRClassification Country211 "
    "EuroSAT FGVCAircraft Flowers102 Food101 Imagenette Omniglot OxfordIIITPet RenderedSST2 "
    "StanfordCars",
    "caltech": "Caltech101 Caltech256",
    "scenes": "CelebA Cityscapes CocoCaptions CocoDetection Kitti SBDataset "
    "VOCDetection VOCSegmentation WIDERFace",
    "flickr": "Flickr8k Flickr30k",
    "flow": "HD1K FlyingChairs FlyingThings3D KittiFlow Sintel",
    "stereo": "CREStereo CarlaStereo ETH3DStereo FallingThingsStereo InStereo2k Kitti2012Stereo "
    "Kitti2015Stereo Middlebury2014Stereo SceneFlowStereo SintelStereo",
    "videos": "HMDB51 UCF101 Kinetics",
    "collections": "INaturalist LSUN LSUNClass PhotoTour SBU",
    "large": "PCAM ImageNet LFWPairs LFWPeople Places365",
    "_wrapper": "wrap_dataset_for_transforms_v2",
}
# torchvision's modules whose classes stand in another one here
_THEIRS = {
    "arrays": "cifar moving_mnist semeion stl10 svhn usps",
    "listed": "clevr country211 dtd eurosat fer2013 fgvc_aircraft flowers102 food101 gtsrb "
    "imagenette omniglot oxford_iiit_pet rendered_sst2 stanford_cars sun397",
    "scenes": "celeba cityscapes coco flickr kitti sbd voc widerface",
    "videos": "hmdb51 kinetics ucf101",
    "collections": "inaturalist lsun phototour sbu",
    "large": "imagenet lfw pcam places365",
}
_MOVED = {theirs: module for module, names in _THEIRS.items() for theirs in names.split()}
_MODULES = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = sorted(_MODULES)


def __getattr__(name):
    from importlib import import_module

    if name in _MODULES:
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _WHERE or name in ("utils", "samplers", "video_utils"):
        return import_module(f".{name}", __name__)
    if name in _MOVED:
        return import_module(f".{_MOVED[name]}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
