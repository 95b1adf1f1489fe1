//! The table of all networks.

use striate_nn::{Init, Module};
use striate_tensor::Result;

use crate::{
    Recipe, dogs_vgg, dogs_vgg_he, dogs_vgg_norm, mnist_cnn, mnist_mlp, mnist_net, resnet18,
    resnet18_dilation, resnet18_imagenet, resnet18_large_kernel, vgg4, vgg4_dilation,
    vgg4_dilation_same, vgg4_large_filter, vgg16, vgg16_imagenet,
};

/// One network: what it is called, where it comes from, and what was published about it.
pub struct Entry {
    /// The command line's name for it.
    pub name: &'static str,
    /// The number of the document.
    pub document: usize,
    /// The shape of one sample.
    pub input: &'static [usize],
    /// The number of classes.
    pub classes: usize,
    /// Its exact number of parameters.
    pub parameters: usize,
    /// The published figure, in the document's terms.
    pub published: &'static str,
    /// Ours by the same recipe, with what is different; the book has the conditions. Empty where none has been measured.
    pub ours: &'static str,
    /// One line on what it is.
    pub description: &'static str,
    /// How the document trains it, where that can be run.
    pub recipe: Option<fn() -> Recipe>,
    /// Makes it.
    pub build: fn(&Init) -> Result<Box<dyn Module>>,
}

const DIGITS: &[usize] = &[1, 28, 28];
const PICTURES: &[usize] = &[3, 32, 32];
const PHOTOS: &[usize] = &[3, 224, 224];

/// Every network, in the order of the documents.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "vgg4",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 25_474,
        published: "accuracy 0.7671 after 30 epochs",
        ours: "0.7635 after 30 epochs, mean of three seeds",
        description: "four 3x3 convolutions with batch norm, each max-pooled",
        recipe: Some(|| Recipe::cifar10(1e-2)),
        build: |init| Ok(Box::new(vgg4(init)?)),
    },
    Entry {
        name: "vgg4-dilation",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 25_474,
        published: "accuracy 0.7979 after 30 epochs",
        ours: "0.7953 after 30 epochs, mean of three seeds",
        description: "the same with dilation 1, 2, 4, 8 instead of pooling",
        recipe: Some(|| Recipe::cifar10(1e-2)),
        build: |init| Ok(Box::new(vgg4_dilation(init)?)),
    },
    Entry {
        name: "vgg4-dilation-same",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 25_474,
        published: "not in the document",
        ours: "0.8185 after 30 epochs with seed 1",
        description: "the same with padding equal to the dilation: maps keep their size",
        recipe: Some(|| Recipe::cifar10(1e-2)),
        build: |init| Ok(Box::new(vgg4_dilation_same(init)?)),
    },
    Entry {
        name: "vgg4-large-filter",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 172_930,
        published: "accuracy 0.8144 after 30 epochs",
        ours: "0.8163 after 30 epochs with seed 1",
        description: "the same with kernels 3, 5, 7, 9 instead of pooling",
        recipe: Some(|| Recipe::cifar10(5e-3)),
        build: |init| Ok(Box::new(vgg4_large_filter(init)?)),
    },
    Entry {
        name: "resnet18",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 11_173_962,
        published: "not in the document",
        ours: "",
        description: "ResNet-18 for 32x32 pictures: 3x3 first, strides 1, 2, 2, 2",
        recipe: Some(Recipe::cifar10_resnet),
        build: |init| Ok(Box::new(resnet18(init)?)),
    },
    Entry {
        name: "resnet18-dilation",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 546_794,
        published: "not in the document",
        ours: "",
        description: "the same cost with dilation 1, 2, 4, 8 instead of strides",
        recipe: Some(Recipe::cifar10_resnet),
        build: |init| Ok(Box::new(resnet18_dilation(init)?)),
    },
    Entry {
        name: "resnet18-large-kernel",
        document: 1,
        input: PICTURES,
        classes: 10,
        parameters: 543_630,
        published: "not in the document",
        ours: "",
        description: "the same cost with kernels 3, 5, 7, 9 instead of strides",
        recipe: Some(Recipe::cifar10_resnet),
        build: |init| Ok(Box::new(resnet18_large_kernel(init)?)),
    },
    Entry {
        name: "resnet18-imagenet",
        document: 1,
        input: PHOTOS,
        classes: 1000,
        parameters: 11_689_512,
        published: "not in the document",
        ours: "",
        description: "ResNet-18 as published: 7x7 first, max pooling",
        recipe: None,
        build: |init| Ok(Box::new(resnet18_imagenet(init)?)),
    },
    Entry {
        name: "dogs-vgg",
        document: 2,
        input: PHOTOS,
        classes: 120,
        parameters: 5_272_248,
        published: "stays at chance: accuracy 0.008 to 0.010 after 10 epochs",
        ours: "at chance: 0.03 after 20 epochs on 20 breeds at 32x32 (chance 0.05)",
        description: "four blocks of two 3x3 convolutions, three linear layers",
        recipe: None,
        build: |init| Ok(Box::new(dogs_vgg(init)?)),
    },
    Entry {
        name: "dogs-vgg-he",
        document: 2,
        input: PHOTOS,
        classes: 120,
        parameters: 5_272_248,
        published: "not in the document",
        ours: "0.19 after 20 epochs on 20 breeds at 32x32 (chance 0.05)",
        description: "the same with He's initialisation, which keeps the signal",
        recipe: None,
        build: |init| Ok(Box::new(dogs_vgg_he(init)?)),
    },
    Entry {
        name: "dogs-vgg-norm",
        document: 2,
        input: PHOTOS,
        classes: 120,
        parameters: 5_276_088,
        published: "not in the document",
        ours: "0.18 after 20 epochs on 20 breeds at 32x32 (chance 0.05)",
        description: "the same with batch norm, which cures it",
        recipe: None,
        build: |init| Ok(Box::new(dogs_vgg_norm(init)?)),
    },
    Entry {
        name: "vgg16",
        document: 2,
        input: PHOTOS,
        classes: 120,
        parameters: 14_714_688 + 586_872,
        published: "accuracy 0.718 at best, 0.699 after 25 epochs of the head",
        ours: "0.630 at best, 0.600 after 25 epochs, on 4,800 photos with cached features",
        description: "VGG16's thirteen convolutions and a head for 120 breeds",
        recipe: None,
        build: |init| Ok(Box::new(vgg16(init)?)),
    },
    Entry {
        name: "vgg16-imagenet",
        document: 2,
        input: PHOTOS,
        classes: 1000,
        parameters: 138_357_544,
        published: "not in the document",
        ours: "",
        description: "VGG16 with its own classifier, for ImageNet's classes",
        recipe: None,
        build: |init| Ok(Box::new(vgg16_imagenet(init)?)),
    },
    Entry {
        name: "mnist-mlp",
        document: 3,
        input: DIGITS,
        classes: 10,
        parameters: 397_510,
        published: "test accuracy 97.17 % after 2 epochs",
        ours: "test accuracy 97.04 %, mean of five seeds",
        description: "784-500-10 with ReLU",
        recipe: Some(Recipe::mnist_mlp),
        build: |init| Ok(Box::new(mnist_mlp(init)?)),
    },
    Entry {
        name: "mnist-cnn",
        document: 3,
        input: DIGITS,
        classes: 10,
        parameters: 28_938,
        published: "0.96 on the last test batch after 5 epochs",
        ours: "98.50 % on all test images, mean of five seeds",
        description: "two 5x5 convolutions with max pooling, one linear layer",
        recipe: Some(Recipe::mnist_cnn),
        build: |init| Ok(Box::new(mnist_cnn(init)?)),
    },
    Entry {
        name: "mnist-net",
        document: 4,
        input: DIGITS,
        classes: 10,
        parameters: 6_379_786,
        published: "loss 0.6928 on the last batch of one epoch",
        ours: "accuracy 89.15, 58.15, 29.00, 59.78 and 76.90 % with seeds 1 to 5",
        description: "seven 3x3 convolutions, ReLU on the logits too",
        recipe: Some(Recipe::mnist_net),
        build: |init| Ok(Box::new(mnist_net(init, true)?)),
    },
    Entry {
        name: "mnist-net-free",
        document: 4,
        input: DIGITS,
        classes: 10,
        parameters: 6_379_786,
        published: "not in the document",
        ours: "accuracy 97.92 % after one epoch, 98.68 % after two, with seed 1",
        description: "the same without the ReLU on the logits",
        recipe: Some(Recipe::mnist_net),
        build: |init| Ok(Box::new(mnist_net(init, false)?)),
    },
];

/// The network called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}
