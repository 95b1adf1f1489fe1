//! The data sets: their files, where they come from, and the digests by which they are known.
//!
//! Each digest was published by somebody other than the server that the file comes from: MNIST's and CIFAR-10's
//! archive's by TensorFlow Datasets (`url_checksums`), VGG16's by two independent programs that fetch it. CIFAR-10's
//! unpacked files were hashed here.

use std::path::{Path, PathBuf};

use crate::Failure;

/// A file and how it is known.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is below the set's folder.
    pub path: &'static str,
    /// Its length in bytes, where that is known.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'static str,
}

/// How a set arrives.
pub enum Origin {
    /// File by file, each below one of these addresses.
    Files(&'static [&'static str]),
    /// In one archive, which lies below one of these addresses.
    Archive(File, &'static [&'static str]),
    /// In an archive that only an account can fetch.
    Account {
        /// The page that has it.
        page: &'static str,
        /// What it is called there.
        archive: &'static str,
    },
}

/// One data set.
pub struct Set {
    /// What the command line calls it.
    pub name: &'static str,
    /// One line on what it is.
    pub description: &'static str,
    /// The files that it consists of; none where no digests are known.
    pub files: &'static [File],
    /// Where it comes from.
    pub origin: Origin,
    /// Whether a file of the archive belongs to the set.
    pub wanted: fn(&Path) -> bool,
}

const fn file(path: &'static str, bytes: u64, sha256: &'static str) -> File {
    File { path, bytes: Some(bytes), sha256 }
}

/// Bytes of 10,000 records.
const BATCH: u64 = 10_000 * (1 + 3 * 32 * 32);

/// Every set.
pub const SETS: &[Set] = &[
    Set {
        name: "mnist",
        description: "70,000 handwritten digits, 28x28 (documents 3 and 4), 12 MB",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        origin: Origin::Files(&[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ]),
        wanted: |_| true,
    },
    Set {
        name: "cifar10",
        description: "60,000 photos of ten classes, 32x32 (document 1), 170 MB",
        files: &[
            file(
                "cifar-10-batches-bin/data_batch_1.bin",
                BATCH,
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            ),
            file(
                "cifar-10-batches-bin/data_batch_2.bin",
                BATCH,
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            ),
            file(
                "cifar-10-batches-bin/data_batch_3.bin",
                BATCH,
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            ),
            file(
                "cifar-10-batches-bin/data_batch_4.bin",
                BATCH,
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            ),
            file(
                "cifar-10-batches-bin/data_batch_5.bin",
                BATCH,
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
            file(
                "cifar-10-batches-bin/test_batch.bin",
                BATCH,
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ),
        ],
        origin: Origin::Archive(
            file(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
            &[
                "https://www.cs.toronto.edu/~kriz/",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
            ],
        ),
        wanted: |path| {
            path.starts_with("cifar-10-batches-bin")
                && path.extension().is_some_and(|end| end == "bin" || end == "txt")
        },
    },
    Set {
        name: "vgg16",
        description: "VGG16's weights for ImageNet, as torchvision has them (document 2), 553 MB",
        files: &[File {
            path: "model.safetensors",
            bytes: None,
            sha256: "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        }],
        origin: Origin::Files(&[
            "https://huggingface.co/timm/vgg16.tv_in1k/resolve/b8d8aa2dd860af9233c8c67385a8097fd6c35d3f/",
            "https://huggingface.co/timm/vgg16.tv_in1k/resolve/main/",
        ]),
        wanted: |_| true,
    },
    Set {
        name: "dogs",
        description: "10,222 photos of 120 dog breeds (document 2), about 700 MB, needs an account",
        files: &[],
        origin: Origin::Account {
            page: "https://www.kaggle.com/c/dog-breed-identification/data",
            archive: "dog-breed-identification.zip",
        },
        wanted: |path| path == "labels.csv" || path.starts_with("train"),
    },
];

/// The set called `name`.
pub fn find(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

/// The set called `name`, or an error that lists the names there are.
pub fn set(name: &str) -> Result<&'static Set, Failure> {
    find(name).ok_or_else(|| {
        let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
        format!("no data set is called {name}; there are {}", names.join(", ")).into()
    })
}

/// The folder that holds the fetched sets: `$XDG_DATA_HOME/striate`, or `~/.local/share/striate`.
pub fn home() -> Result<PathBuf, Failure> {
    // An empty or relative variable is to be ignored, says the XDG base directory specification.
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|at| at.is_absolute());
    let data = variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .ok_or("expected --into DIR, or the variable XDG_DATA_HOME or HOME with a folder")?;
    Ok(data.join("striate"))
}

/// Where an option such as `--data` points: a folder or a file, or, if there is none of that name, the place of the fetched
/// set so called; for a set of one file that is the file.
pub fn resolve(data: PathBuf) -> Result<PathBuf, Failure> {
    let Some(set) = data.to_str().and_then(find).filter(|_| !data.exists()) else {
        return Ok(data);
    };
    let fetched = home()?.join(set.name);
    match (fetched.is_dir(), set.files) {
        (true, [file]) => Ok(fetched.join(file.path)),
        (true, _) => Ok(fetched),
        _ => Err(format!(
            "{}: there is no such folder, and {name} has not been fetched; `striate data fetch {name}` does that",
            fetched.display(),
            name = set.name
        )
        .into()),
    }
}
