"""Makes the fixtures of photo transforms: what torchvision does to a PIL image, as PNG files.

    python photos.py                     # writes crates/data/tests/fixtures/photos

The picture is drawn here, by formula, so that it is free: smooth gradients, edges, and noise. Each file is one
deterministic form of a transform with the numbers that crates/data/tests/data/photos.rs repeats.
"""

from pathlib import Path

import numpy
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

FOLDER = Path(__file__).parents[2] / "crates" / "data" / "tests" / "fixtures" / "photos"


def picture(width=61, height=46):
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    red = 127 + 120 * numpy.sin(x / 7.0 + y / 13.0)
    green = 255 * y / (height - 1)
    blue = numpy.where((x // 8 + y // 8) % 2 == 0, 230, 40)
    disc = (x - 40) ** 2 + (y - 20) ** 2 < 144
    planes = numpy.stack([red, green, blue], -1)
    planes[disc] = planes[disc] * 0.3 + numpy.array([180, 20, 90])
    noise = numpy.random.default_rng(1).normal(0, 6, planes.shape)
    return Image.fromarray(numpy.clip(planes + noise, 0, 255).astype(numpy.uint8))


def square(image):
    side = max(image.size)
    left, top = [(side - s) // 2 for s in image.size]
    right, bottom = [side - s - before for s, before in zip(image.size, (left, top))]
    return F.pad(image, [left, top, right, bottom], 0)


FROM = [[0, 0], [60, 0], [60, 45], [0, 45]]
TO = [[9, 4], [55, 8], [48, 40], [3, 44]]
BILINEAR = InterpolationMode.BILINEAR

FORMS = {
    "flip": F.hflip,
    "rotate-17": lambda image: F.rotate(image, 17.0),
    "rotate-minus-29.5": lambda image: F.rotate(image, -29.5),
    "brightness-0.6": lambda image: F.adjust_brightness(image, 0.6),
    "brightness-1.45": lambda image: F.adjust_brightness(image, 1.45),
    "contrast-0.55": lambda image: F.adjust_contrast(image, 0.55),
    "contrast-1.5": lambda image: F.adjust_contrast(image, 1.5),
    "saturation-0.5": lambda image: F.adjust_saturation(image, 0.5),
    "saturation-1.4": lambda image: F.adjust_saturation(image, 1.4),
    "hue-0.2": lambda image: F.adjust_hue(image, 0.2),
    "hue-minus-0.13": lambda image: F.adjust_hue(image, -0.13),
    "perspective": lambda image: F.perspective(image, FROM, TO, BILINEAR),
    "pad": square,
    "resize-down": lambda image: F.resize(image, [17, 23], BILINEAR),
    "resize-up": lambda image: F.resize(image, [80, 75], BILINEAR),
    "resize-shorter": lambda image: F.resize(image, 30, BILINEAR),
    "pad-resize": lambda image: F.resize(square(image), 32, BILINEAR),
    "center-crop": lambda image: F.center_crop(image, [31, 20]),
    "center-crop-larger": lambda image: F.center_crop(image, [51, 30]),
    "crop": lambda image: F.crop(image, 5, 11, 20, 30),
    "resized-crop": lambda image: F.resized_crop(image, 5, 11, 20, 30, [24, 24], BILINEAR),
    "blur-5-1.2": lambda image: F.gaussian_blur(image, [5, 5], [1.2, 1.2]),
    "blur-9-3": lambda image: F.gaussian_blur(image, [9, 9], [3.0, 3.0]),
    "grayscale": lambda image: F.rgb_to_grayscale(image, 3),
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = picture()
    image.save(FOLDER / "input.png")
    for name, form in FORMS.items():
        form(image).save(FOLDER / f"{name}.png", optimize=True)
