//! The sets that can be fetched: files, where they lie, and what proves them right.
//!
//! The sums of MNIST are those of its files as LeCun published them; of Fashion-MNIST those that
//! Zalando's files have in public; of `olivettifaces.mat` the one that scikit-learn compares. Of the
//! ORL faces the sum is over the 400 pictures, not over the archive, of which mirrors have several. No
//! sum of TinyStories is known here: its files are checked for their length, as the server tells it, and for
//! being stories.

use clap::ValueEnum;

/// A set by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// Handwritten digits, 70,000 pictures of 28 × 28 (LeCun, Cortes, Burges)
    Mnist,
    /// Pieces of clothing in the same form (Zalando; MIT)
    FashionMnist,
    /// The ORL faces: 40 people, 10 pictures each, 92 × 112 (AT&T Laboratories Cambridge)
    Orl,
    /// The Olivetti faces: the same people, 64 × 64
    Olivetti,
    /// Short stories in simple English, 2 GB (Eldan and Li; CDLA-Sharing-1.0)
    #[value(name = "tinystories")]
    TinyStories,
}

/// A file of a set.
pub(super) struct Remote {
    /// What it is called here, and at a mirror.
    pub(super) name: &'static str,
    /// Where it lies, the best first.
    pub(super) addresses: &'static [&'static str],
    pub(super) proof: Proof,
}

/// What proves a file right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Sha256(&'static str),
    /// An archive, whose pictures are proved when they are unpacked.
    Zip,
    /// A text with the mark that ends a story.
    Stories,
}

/// The hash of the pictures s1/1.pgm, s1/2.pgm, …, s40/10.pgm of the ORL faces, one after the other.
pub(super) const ORL_PICTURES: &str =
    "d81dc0ce1b7cae73897b46ab3d4d0ee2d1ff72f033819ec7c2a184dbba14a58f";

macro_rules! digits {
    ($name:literal, $sum:literal) => {
        Remote {
            name: $name,
            addresses: &[
                concat!("https://ossci-datasets.s3.amazonaws.com/mnist/", $name),
                concat!("https://storage.googleapis.com/cvdf-datasets/mnist/", $name),
            ],
            proof: Proof::Sha256($sum),
        }
    };
}

macro_rules! clothes {
    ($name:literal, $sum:literal) => {
        Remote {
            name: $name,
            addresses: &[
                concat!("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", $name),
                concat!(
                    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                    $name
                ),
            ],
            proof: Proof::Sha256($sum),
        }
    };
}

macro_rules! stories {
    ($name:literal) => {
        Remote {
            name: $name,
            addresses: &[concat!(
                "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main/",
                $name
            )],
            proof: Proof::Stories,
        }
    };
}

const MNIST: &[Remote] = &[
    digits!(
        "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    digits!(
        "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    digits!(
        "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    digits!(
        "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
];

const FASHION: &[Remote] = &[
    clothes!(
        "train-images-idx3-ubyte.gz",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    clothes!(
        "train-labels-idx1-ubyte.gz",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    clothes!(
        "t10k-images-idx3-ubyte.gz",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    clothes!(
        "t10k-labels-idx1-ubyte.gz",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
];

const ORL: &[Remote] = &[Remote {
    name: "att_faces.zip",
    addresses: &[
        "https://www.cl.cam.ac.uk/Research/DTG/attarchive/pub/data/att_faces.zip",
        "http://datasets.openimaj.org/att_faces.zip",
    ],
    proof: Proof::Zip,
}];

const OLIVETTI: &[Remote] = &[Remote {
    name: "olivettifaces.mat",
    addresses: &[
        "https://ndownloader.figshare.com/files/5976027",
        "https://cs.nyu.edu/~roweis/data/olivettifaces.mat",
    ],
    proof: Proof::Sha256("b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794"),
}];

const STORIES: &[Remote] =
    &[stories!("TinyStoriesV2-GPT4-valid.txt"), stories!("TinyStoriesV2-GPT4-train.txt")];

impl Set {
    /// Its files.
    pub(super) fn files(self) -> &'static [Remote] {
        match self {
            Self::Mnist => MNIST,
            Self::FashionMnist => FASHION,
            Self::Orl => ORL,
            Self::Olivetti => OLIVETTI,
            Self::TinyStories => STORIES,
        }
    }
}
