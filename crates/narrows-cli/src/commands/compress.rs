//! `narrows compress` and `narrows decompress`: rows in few bits, and back.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::codec::{
    self, About, Codec, Compressed, CompressedFile, Container, Fidelity, Head, Jpeg, Target, Values,
};
use narrows::data::{
    Dataset, Element, OpenOptions, Origin, Precision, Prepared, Source, names_picture,
};
use narrows::model::Pca;
use narrows::model::pca::{Components, PcaOptions};
use narrows::report::count;
use narrows::store::{Folder, Run, check_replaceable};
use serde_json::{Value, json};

use super::table::table;
use super::transform::{check_target, extension, png_names};
use super::{Output, RunOnData, Screen, open_like, open_run};

/// What a compressed file begins with, and the kinds of files that come out of it.
const COMPRESSED: &[&[u8]] = &[b"NARROWSZ"];
const KINDS: &[(&str, &[&[u8]])] = &[
    ("npy", &[b"\x93NUMPY"]),
    ("wav", &[b"RIFF"]),
    ("png", &[b"\x89PNG"]),
    ("pgm", &[b"P5"]),
    ("ppm", &[b"P6"]),
];

/// Components of the PCA that stands beside a file.
const COMPONENTS: usize = 512;

/// Compress rows: the codes of a model, quantised and entropy-coded
///
/// How coarse the codes become is chosen on training rows, those that the run was fitted on or those of
/// --fit; without a wish codes cost 5 % of squared error beyond what the model loses itself. Works with PCA, linear
/// autoencoders, networks and stacks. Told beside: JPEG of one sheet of all pictures, and PCA of the
/// training rows with as many components as get bits, up to 512, in as many bytes. Rows pass in blocks of
/// 16 MiB, so memory does not grow with what is compressed; the PCA beside takes what `fit` takes for one.
///
/// `narrows decompress` gives exactly the rows whose PSNR or SNR is told here.
///
/// Examples:
///
/// narrows compress runs/deep --data t10k-images-idx3-ubyte.gz --out t10k.nrw --bits-per-row 120
///
/// narrows compress runs/sound --data talk.wav --out talk.nrw --snr 20
#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    #[command(flatten)]
    on: RunOnData,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Bits that a row may take, its share of the head not counted
    #[arg(long, value_name = "BITS", conflicts_with_all = ["psnr", "snr"])]
    bits_per_row: Option<f64>,
    /// The peak signal-to-noise ratio to reach, in dB; of 8-bit pictures
    #[arg(long, value_name = "DB", conflicts_with = "snr")]
    psnr: Option<f64>,
    /// The signal-to-noise ratio to reach, in dB
    #[arg(long, value_name = "DB")]
    snr: Option<f64>,
    /// Rows to choose on [default: those that the run was fitted on]
    #[arg(long, value_name = "PATH")]
    fit: Option<String>,
    /// Do not fit PCA and measure it and JPEG beside, which takes longer than to compress
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    output: Output,
}

/// Bring back what `narrows compress` wrote, as the kind of data that it was
///
/// Arrays come back as npy, idx files of bytes as idx, tables as csv, a folder of pictures as a folder of
/// png pictures, sound as WAV. The file is checked whole before anything is written.
///
/// Example: narrows decompress t10k.nrw --run runs/deep --out t10k-images-idx3-ubyte
#[derive(Debug, Args)]
pub(crate) struct DecompressArgs {
    /// The file that `narrows compress` wrote
    file: PathBuf,
    /// The run folder that it was compressed with
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// The file or, for pictures, the folder to write
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn compress(args: CompressArgs) -> Result<()> {
    check_file("compress", &args.out, "rows.nrw")?;
    check_target(&args.out, &args.on.data, "a compressed file", COMPRESSED)?;
    let (run, dataset) = args.on.open(None)?;
    let about = about(&args.on.data, &dataset)?;
    let training = training(&args, &run)?;
    let preparations = (run.preparation.check(&dataset)?, run.preparation.check(&training)?);
    let codec = Codec::new(&run.model, &preparations.0, about.values)?;
    let chooser = Codec::new(&run.model, &preparations.1, about.values)?;
    let quantiser = codec::choose(&chooser, &*training.rows, target(&args))?;
    let head = Head { model: codec::model_hash(&args.on.run)?, about, quantiser };
    let done = codec::compress(&args.out, &codec, &head, &*dataset.rows)?;
    let mut beside = Beside::default();
    if !args.alone {
        // The file is written: that something cannot stand beside it is no reason to fail.
        if run.baseline.is_some() {
            let rows = Prepared { source: &*training.rows, preparation: &preparations.1 };
            let found = rival(&rows).and_then(|pca| {
                let rows = (&*training.rows, &*dataset.rows);
                codec::pca_of_equal_bytes(&codec, &pca, &head, rows.0, rows.1, &done)
            });
            match found {
                Ok(found) if found.is_some() => beside.pca = found,
                Ok(_) => args.output.say("note: no PCA beside it: it would take more bytes"),
                Err(error) => args.output.say(format!("note: no PCA beside it: {error}")),
            }
        }
        if let Some(shape) = dataset.image.filter(|_| codec.values() == Values::Bytes) {
            let bytes = done.bytes as f64 / done.rows as f64;
            match codec::jpeg_of_equal_bytes(&*dataset.rows, shape, bytes) {
                Ok(jpeg) => beside.jpeg = Some(jpeg),
                Err(error) => args.output.say(format!("note: no JPEG beside it: {error}")),
            }
        }
    }
    tell(&args, &head, &done, &beside)
}

/// PCA with more components than should get bits, as far as rows and columns allow.
fn rival(rows: &Prepared<'_>) -> narrows::Result<Pca> {
    let count = COMPONENTS.min(rows.rows()).min(rows.dim());
    let options = PcaOptions { components: Components::Count(count), ..Default::default() };
    Pca::fit_source(rows, &options)
}

fn target(args: &CompressArgs) -> Target {
    let wished = [
        args.bits_per_row.map(Target::BitsPerRow),
        args.psnr.map(Target::Psnr),
        args.snr.map(Target::Snr),
    ];
    wished.into_iter().flatten().next().unwrap_or_default()
}

/// The rows to choose on.
fn training(args: &CompressArgs, run: &Run) -> narrows::Result<Dataset> {
    let table = &run.config["data"];
    let own = table["path"].as_str().unwrap_or_default();
    let path = args.fit.as_deref().unwrap_or(own);
    let column = table["label_column"].as_str().map(str::to_owned);
    let given = OpenOptions { label_column: column, ..Default::default() };
    let opened = open_like(run, path, given);
    if args.fit.is_some() {
        return opened;
    }
    let dataset = opened.map_err(|error| {
        Error::mistake(
            "compress",
            "the rows that the run was fitted on, to choose on",
            error.to_string(),
            "give them, or others like them that are not compressed, with --fit",
        )
    })?;
    if table["content_hash"].as_str() != Some(dataset.content_hash.as_str()) {
        args.output.say(format!("note: {path} has changed since the run was fitted"));
    }
    Ok(dataset)
}

/// What is compressed, and what it shall become again.
fn about(spec: &str, dataset: &Dataset) -> Result<About> {
    let values = Values::of(dataset.element, dataset.rows.precision());
    let bytes = dataset.element == Element::U8;
    let names = || png_names(&dataset.row_names);
    let (container, values) = match narrows::data::origin(spec)? {
        Origin::Sound(sound) => (Container::Wav(sound), Values::Pcm16),
        Origin::Idx if bytes => (Container::Idx, values),
        Origin::Pictures => (Container::Pictures(names()?), values),
        Origin::Picture => (Container::Picture(names()?.swap_remove(0)), values),
        Origin::Table => (Container::Csv, Values::of(Element::Text, Precision::F64)),
        Origin::Idx | Origin::Array => (Container::Npy, values),
    };
    let (rows, dim) = (dataset.rows.rows(), dataset.rows.dim());
    Ok(About { container, values, rows, dim, image: dataset.image })
}

/// What is measured beside it.
#[derive(Default)]
struct Beside {
    /// Components, and what they made.
    pca: Option<(usize, Compressed)>,
    jpeg: Option<Jpeg>,
}

/// Bytes of the rows where nothing is compressed.
fn plain_bytes(about: &About) -> f64 {
    about.rows as f64 * about.dim as f64 * about.values.size() as f64
}

fn tell(args: &CompressArgs, head: &Head, done: &Compressed, beside: &Beside) -> Result<()> {
    let about = &head.about;
    let ratio = plain_bytes(about) / done.bytes as f64;
    if args.output.json {
        let mut told = json!(done);
        told["bits_per_row"] = json!(done.bits_per_row());
        told["bits_per_row_of_codes"] = json!(done.bits_per_row_of_codes());
        told["ratio"] = json!(ratio);
        told["fidelity"] = fidelity(&done.fidelity, about.values);
        if let Some((components, pca)) = &beside.pca {
            told["pca"] = json!({
                "components": components,
                "bytes": pca.bytes,
                "fidelity": fidelity(&pca.fidelity, about.values),
            });
        }
        if let Some(jpeg) = &beside.jpeg {
            told["jpeg"] = json!(jpeg);
            told["jpeg"]["fidelity"] = fidelity(&jpeg.fidelity, about.values);
        }
        writeln!(Screen, "{told:#}")?;
        return Ok(());
    }
    let line = |name: String, bytes: f64, rows: usize, found: &Fidelity| {
        let decibels = if about.values == Values::Bytes { found.psnr() } else { found.snr() };
        let share = plain_bytes(about) / about.rows as f64 * rows as f64 / bytes;
        vec![
            name,
            format!("{bytes:.0}"),
            format!("{:.1}", 8.0 * bytes / rows as f64),
            format!("{share:.1}"),
            format!("{decibels:.2}"),
        ]
    };
    let mut lines = vec![line("this model".into(), done.bytes as f64, done.rows, &done.fidelity)];
    if let Some((components, pca)) = &beside.pca {
        let name = format!("PCA, {components} components");
        lines.push(line(name, pca.bytes as f64, pca.rows, &pca.fidelity));
    }
    if let Some(jpeg) = &beside.jpeg {
        let sheet = format!("JPEG, one sheet of {}, quality {}", count(jpeg.rows), jpeg.quality);
        lines.push(line(sheet, jpeg.bytes as f64, jpeg.rows, &jpeg.fidelity));
    }
    let decibels = if about.values == Values::Bytes { "#PSNR, dB" } else { "#SNR, dB" };
    let headings = ["", "#bytes", "#bits per row", "#ratio", decibels];
    write!(Screen, "{}", table(&headings, &lines))?;
    // What --bits-per-row asks for, which of few rows is much less than what the table says.
    writeln!(
        Screen,
        "\nof this model the codes are {:.1} bits per row; the head of the file is {} bytes",
        done.bits_per_row_of_codes(),
        count(done.overhead as usize)
    )?;
    args.output.say(format!("written: {} rows in {}", count(done.rows), args.out.display()));
    Ok(())
}

/// Decibels, as far as they mean something of such values.
fn fidelity(found: &Fidelity, values: Values) -> Value {
    let psnr = (values == Values::Bytes).then(|| found.psnr());
    json!({ "psnr": psnr, "snr": found.snr(), "squared_error": found.squared_error })
}

pub(crate) fn decompress(args: DecompressArgs) -> Result<()> {
    let mut file = CompressedFile::open(&args.file)?;
    let about = file.head().about.clone();
    check_out(&args, &about)?;
    let run = open_run(&args.run)?;
    if codec::model_hash(&args.run)? != file.head().model {
        return Err(Error::mistake(
            "decompress",
            "the run that the file was compressed with",
            format!("'{}', which decodes with another model", args.run.display()),
            "give that run, as it was then",
        )
        .into());
    }
    let codec = Codec::new(&run.model, &run.preparation, about.values)?;
    file.check(&codec)?;
    let columns = run.preparation.columns();
    let hash = codec::write_rows(&args.out, &about, columns, |take| {
        file.rows(&codec, |at, r| take(at, r))
    })?;
    let said = format!("written: {} rows in {}", count(about.rows), args.out.display());
    args.output.say(said);
    if args.output.json {
        let path = args.out.display().to_string();
        writeln!(
            Screen,
            "{}",
            json!({ "rows": about.rows, "path": path, "reconstruction": hash })
        )?;
    }
    Ok(())
}

/// Refuses a name under which no such data should be written, before any work is done.
fn check_out(args: &DecompressArgs, about: &About) -> narrows::Result<()> {
    let ends: &[&str] = match &about.container {
        Container::Npy => &["npy"],
        Container::Csv => &["csv", "tsv"],
        Container::Wav(_) => &["wav"],
        Container::Picture(_) => &["png", "pgm", "ppm"],
        Container::Idx => &[],
        Container::Pictures(names) => return check_folder(&args.out, names.len()),
    };
    check_file("decompress", &args.out, &format!("rows.{}", ends.first().unwrap_or(&"idx")))?;
    let end = extension(&args.out);
    if !ends.is_empty() && !ends.contains(&end.as_str()) {
        return Err(Error::mistake(
            "decompress",
            format!("a name that ends in .{}", ends.join(" or .")),
            format!("'{}'", args.out.display()),
            "give --out such a name",
        ));
    }
    let begins = match about.container {
        Container::Idx => &[&b"\0\0\x08"[..]][..],
        // A table has no beginning that tells whose it is, so none is replaced.
        Container::Csv => &[][..],
        _ => KINDS.iter().find(|(name, _)| *name == end).map_or(&[][..], |(_, begins)| begins),
    };
    let from = args.file.to_string_lossy();
    check_target(&args.out, &from, "such data", begins)
}

/// Refuses a folder where a file is to be written.
fn check_file(operation: &str, out: &Path, name: &str) -> narrows::Result<()> {
    if !out.is_dir() {
        return Ok(());
    }
    let within = out.join(name);
    Err(Error::mistake(
        operation,
        format!("a file name such as {name}"),
        format!("'{}', which is a folder", out.display()),
        format!("give --out a name within it, such as {}", within.display()),
    ))
}

/// Extensions of files other than pictures, which no folder of pictures should have either.
const OF_FILES: [&str; 7] = ["npy", "npz", "csv", "tsv", "wav", "idx", "nrw"];

/// Refuses the name of a file, or a folder of something else, where a folder of pictures is to be written.
fn check_folder(out: &Path, pictures: usize) -> narrows::Result<()> {
    let names_file = names_picture(out) || OF_FILES.contains(&extension(out).as_str());
    if names_file && !out.is_dir() {
        return Err(Error::mistake(
            "decompress",
            format!("a folder for {pictures} pictures"),
            format!("'{}', the name of a file", out.display()),
            "leave out the extension",
        ));
    }
    check_replaceable(out, Folder::Pictures)
}
