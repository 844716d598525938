//! `narrows encode`, `decode` and `reconstruct`: rows to codes and back, by blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::{Dataset, OpenOptions, Preparation, Prepared, Source, names_picture};
use narrows::report::count;
use narrows::store::{Folder, NpyWriter, Run, check_replaceable, write_image, write_pictures};
use ndarray::Array2;

use super::{Output, RunOnData, Screen, open_run};

/// Rows that are held at a time.
const BLOCK: usize = 2048;
/// What an array begins with, and what pictures begin with: these are replaced by their like.
const ARRAYS: &[&[u8]] = &[b"\x93NUMPY"];
const PICTURES: &[&[u8]] = &[b"\x89PNG", b"P5", b"P6"];

/// Turn rows into codes
///
/// Example: narrows encode runs/a --data test.npy --out codes.npy
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    on: RunOnData,
    /// The .npy file to write, one code a row
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Turn codes into rows, in the units of the original data
///
/// Of a transcoder into the rows that come out of it.
///
/// Example: narrows decode runs/a --codes codes.npy --out rows.npy
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The run folder that `narrows fit` wrote
    run: PathBuf,
    /// An npy file of codes
    #[arg(long, value_name = "FILE")]
    codes: String,
    /// The .npy file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Send rows through the code and back, in the units of the original data
///
/// A folder of pictures in gives a folder of PNG pictures out, one picture in gives one picture or a
/// folder, by the name; everything else gives an npy file. Of a transcoder it gives what rows are turned into.
///
/// Example: narrows reconstruct runs/a --data test.npy --out rebuilt.npy
#[derive(Debug, Args)]
pub(crate) struct ReconstructArgs {
    #[command(flatten)]
    on: RunOnData,
    /// The .npy file or, for pictures, the folder or the single .png to write
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn encode(args: EncodeArgs) -> Result<()> {
    check_array(&args.out, &args.on.data)?;
    let (run, dataset) = args.on.open(None)?;
    let preparation = run.preparation.check(&dataset)?;
    let latents = run.model.latent_dim();
    let mut out =
        NpyWriter::create(&args.out, dataset.rows.rows(), latents, dataset.rows.precision())?;
    for_prepared_blocks(&run, &dataset, &preparation, |_, block| {
        let codes = run.model.encode(block.view())?;
        out.write_rows(codes.as_slice().expect("row-major"))
    })?;
    out.finish()?;
    say_written(&args.output, dataset.rows.rows(), latents, &args.out)
}

pub(crate) fn decode(args: DecodeArgs) -> Result<()> {
    check_array(&args.out, &args.codes)?;
    let run = open_run(&args.run)?;
    let codes = narrows::data::open(&args.codes, &OpenOptions::default())?;
    let (count, dim) = (codes.rows.rows(), original_dim(&run));
    if codes.rows.dim() != run.model.latent_dim() {
        return Err(Error::mistake(
            "decode",
            format!("codes of {} columns, as the model has", run.model.latent_dim()),
            codes.rows.dim().to_string(),
            "give codes that `narrows encode` made with this run",
        )
        .into());
    }
    let mut out = NpyWriter::create(&args.out, count, dim, codes.rows.precision())?;
    for start in (0..count).step_by(BLOCK) {
        let block = read(&*codes.rows, start)?;
        let rows = run.model.decode(block.view())?;
        let rows = rows.as_slice().expect("row-major");
        if transcodes(&run) {
            out.write_rows(rows)?;
            continue;
        }
        let mut original = vec![0.0; block.nrows() * dim];
        run.preparation.invert(rows, &mut original);
        out.write_rows(&original)?;
    }
    out.finish()?;
    say_written(&args.output, count, dim, &args.out)
}

pub(crate) fn reconstruct(args: ReconstructArgs) -> Result<()> {
    let (run, dataset) = args.on.open(None)?;
    if dataset.image.is_some() && !dataset.row_names.is_empty() && !transcodes(&run) {
        return reconstruct_pictures(&run, &dataset, &args);
    }
    check_array(&args.out, &args.on.data)?;
    let (count, dim) = (dataset.rows.rows(), original_dim(&run));
    let mut out = NpyWriter::create(&args.out, count, dim, dataset.rows.precision())?;
    for_rebuilt_blocks(&run, &dataset, |_, rows| out.write_rows(rows))?;
    out.finish()?;
    say_written(&args.output, count, dim, &args.out)
}

fn reconstruct_pictures(run: &Run, dataset: &Dataset, args: &ReconstructArgs) -> Result<()> {
    let (count, out) = (dataset.rows.rows(), &args.out);
    match (names_picture(out), count) {
        (true, 1) => {
            check_target(out, &args.on.data, "a picture", PICTURES)?;
            for_rebuilt_blocks(run, dataset, |_, row| write_picture(out, row, dataset))?;
        }
        (true, _) => {
            return Err(Error::mistake(
                "write pictures",
                format!("a folder for {count} pictures"),
                format!("'{}', the name of one", out.display()),
                "leave out the extension",
            )
            .into());
        }
        (false, _) => write_folder_of_pictures(run, dataset, out)?,
    }
    let pictures = if count == 1 { "1 picture".to_owned() } else { format!("{count} pictures") };
    let size = dataset
        .image
        .map_or(String::new(), |image| format!(" of {} × {}", image.width, image.height));
    args.output.say(format!("written: {pictures}{size} in {}", out.display()));
    Ok(())
}

/// A row in the units of 8-bit pictures.
fn write_picture(path: &Path, row: &[f64], dataset: &Dataset) -> narrows::Result<()> {
    let pixels: Vec<u8> = row.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    write_image(path, &pixels, dataset.image.expect("asked before"))
}

/// Refuses a name under which no array should be written, before any work is done.
fn check_array(out: &Path, from: &str) -> narrows::Result<()> {
    if extension(out) != "npy" {
        return Err(Error::mistake(
            "write an array",
            "a name that ends in .npy",
            format!("'{}'", out.display()),
            "give --out such a name",
        ));
    }
    check_target(out, from, "an array", ARRAYS)
}

/// Refuses to replace the data themselves, or a file that does not begin as its like do.
pub(super) fn check_target(
    out: &Path,
    from: &str,
    what: &str,
    begins: &[&[u8]],
) -> narrows::Result<()> {
    let Ok(target) = out.canonicalize() else { return Ok(()) };
    let refuse = |what_it_is: &str| {
        Err(Error::mistake(
            format!("write {what}"),
            format!("a new name or {what} to replace"),
            format!("'{}', which {what_it_is}", out.display()),
            "give another --out",
        ))
    };
    let data = from.rsplit_once('#').map_or(from, |(file, _)| file);
    if [from, data].iter().any(|file| Path::new(file).canonicalize().is_ok_and(|f| f == target)) {
        return refuse("is where the data come from");
    }
    let mut head = Vec::new();
    let read = File::open(&target).and_then(|file| file.take(8).read_to_end(&mut head));
    read.map_err(|error| Error::read(out, error))?;
    if begins.iter().any(|begin| head.starts_with(begin)) {
        Ok(())
    } else {
        refuse("is something else")
    }
}

pub(super) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn write_folder_of_pictures(run: &Run, dataset: &Dataset, out: &Path) -> Result<()> {
    let names = png_names(&dataset.row_names)?;
    check_replaceable(out, Folder::Pictures)?;
    write_pictures(out, &names, |folder| {
        for_rebuilt_blocks(run, dataset, |start, rows| {
            for (index, row) in rows.chunks_exact(dataset.rows.dim()).enumerate() {
                let path = folder.join(&names[start + index]);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|error| Error::write(parent, error))?;
                }
                write_picture(&path, row, dataset)?;
            }
            Ok(())
        })
    })?;
    Ok(())
}

/// What the pictures are called that come out: as those that came in, but all are PNG.
pub(super) fn png_names(names: &[String]) -> narrows::Result<Vec<PathBuf>> {
    let mut taken = HashMap::new();
    let png = |name| {
        let png = Path::new(name).with_extension("png");
        match taken.insert(png.clone(), name) {
            None => Ok(png),
            Some(other) => Err(Error::mistake(
                "write pictures",
                "pictures whose names differ before the extension",
                format!("'{other}' and '{name}', both of which would become '{}'", png.display()),
                "rename one of them",
            )),
        }
    };
    names.iter().map(png).collect()
}

/// Prepared rows by blocks, missing values filled where the model can.
pub(super) fn for_prepared_blocks(
    run: &Run,
    dataset: &Dataset,
    preparation: &Preparation,
    mut with: impl FnMut(usize, Array2<f64>) -> narrows::Result<()>,
) -> narrows::Result<()> {
    let rows = Prepared { source: &*dataset.rows, preparation };
    for start in (0..rows.rows()).step_by(BLOCK) {
        let mut block = read(&rows, start)?;
        if block.iter().any(|value| value.is_nan()) {
            run.model.fill_missing(&mut block)?;
        }
        with(start, block)?;
    }
    Ok(())
}

/// Rebuilt rows by blocks, in the units of the data.
pub(super) fn for_rebuilt_blocks(
    run: &Run,
    dataset: &Dataset,
    mut with: impl FnMut(usize, &[f64]) -> narrows::Result<()>,
) -> narrows::Result<()> {
    let preparation = run.preparation.check(dataset)?;
    let dim = dataset.rows.dim();
    for_prepared_blocks(run, dataset, &preparation, |start, block| {
        let (_, rebuilt) = run.model.reconstruct(block.view())?;
        if transcodes(run) {
            return with(start, rebuilt.as_slice().expect("row-major"));
        }
        let mut raw = vec![0.0; rebuilt.nrows() * dim];
        dataset.rows.read_f64(start, &mut raw)?;
        let mut norms = vec![1.0; rebuilt.nrows()];
        preparation.row_norms(&raw, &mut norms);
        let rebuilt = rebuilt.as_slice().expect("row-major");
        preparation.invert_with_norms(rebuilt, &norms, &mut raw);
        with(start, &raw)
    })
}

/// Whether other rows come out than go in; they were not prepared, and are not brought back.
fn transcodes(run: &Run) -> bool {
    run.model.output_dim() != run.model.input_dim()
}

/// Columns of what comes out, in the units of the data.
fn original_dim(run: &Run) -> usize {
    if transcodes(run) { run.model.output_dim() } else { run.preparation.input_dim() }
}

/// The rows of the block that begins at `start`.
pub(super) fn read(source: &dyn Source, start: usize) -> narrows::Result<Array2<f64>> {
    let mut block = Array2::zeros((BLOCK.min(source.rows() - start), source.dim()));
    source.read_f64(start, block.as_slice_mut().expect("owned and row-major"))?;
    Ok(block)
}

fn say_written(output: &Output, rows: usize, columns: usize, path: &Path) -> Result<()> {
    output.say(format!("written: {} rows × {columns} columns in {}", count(rows), path.display()));
    if output.json {
        let path = path.display().to_string();
        let written = serde_json::json!({ "rows": rows, "columns": columns, "path": path });
        writeln!(Screen, "{written}")?;
    }
    Ok(())
}
