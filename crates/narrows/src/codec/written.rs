//! Rows into files of the kind that they came from.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::head::{About, Container};
use super::values::Values;
use crate::data::{Column, FULL_SCALE, ImageShape, Precision, Sound};
use crate::error::{Error, Result};
use crate::store::{Aside, NpyWriter, write_image, write_pictures};

/// Takes the rows of a block and the rows before it.
type Take<'a> = &'a mut dyn FnMut(usize, &[f64]) -> Result<()>;

/// Writes rows to `out`, whole or not at all; `fill` is given what takes them, block after block, in
/// order. `columns` are those of a table. Memory is that of a block.
///
/// # Errors
/// If `fill` fails, gives other rows than `about` tells of, or a file cannot be written.
pub fn write_rows<R>(
    out: &Path,
    about: &About,
    columns: &[Column],
    fill: impl FnOnce(Take<'_>) -> Result<R>,
) -> Result<R> {
    match &about.container {
        Container::Npy => write_npy(out, about, fill),
        Container::Idx => write_plain(out, &idx_header(about)?, fill, bytes_of),
        Container::Csv => write_table(out, columns, fill),
        Container::Wav(sound) => write_wav(out, *sound, about, fill),
        Container::Picture(_) => {
            let shape = image(about)?;
            fill(&mut |_, rows| write_image(out, &bytes_of(rows), shape))
        }
        Container::Pictures(names) => {
            let shape = image(about)?;
            let mut done = None;
            write_pictures(out, names, |folder| {
                let filled = fill(&mut |start, rows| {
                    let pictures = rows.chunks_exact(about.dim).enumerate();
                    for (index, picture) in pictures {
                        let name = names.get(start + index).ok_or_else(miscounted)?;
                        write_picture(&folder.join(name), picture, shape)?;
                    }
                    Ok(())
                });
                done = Some(filled?);
                Ok(())
            })?;
            done.ok_or_else(miscounted)
        }
    }
}

fn miscounted() -> Error {
    Error::failure("write rows", "there are more or fewer than was told", "compress again")
}

fn write_picture(path: &Path, picture: &[f64], shape: ImageShape) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| Error::write(parent, error))?;
    }
    write_image(path, &bytes_of(picture), shape)
}

fn image(about: &About) -> Result<ImageShape> {
    let problem = "its head tells of pictures and not of their size";
    about.image.ok_or_else(|| Error::failure("write rows", problem, "compress again"))
}

/// Values of 0 to 255 as they are kept.
fn bytes_of(rows: &[f64]) -> Vec<u8> {
    rows.iter().map(|&value| value as u8).collect()
}

fn write_npy<R>(out: &Path, about: &About, fill: impl FnOnce(Take<'_>) -> Result<R>) -> Result<R> {
    let precision = match about.values {
        Values::Bytes => {
            let header = NpyWriter::header_of_bytes(&shape(about));
            return write_plain(out, &header, fill, bytes_of);
        }
        Values::Pcm16 | Values::F32 => Precision::F32,
        Values::F64 => Precision::F64,
    };
    let mut file = NpyWriter::create(out, about.rows, about.dim, precision)?;
    let done = fill(&mut |_, rows| file.write_rows(rows))?;
    file.finish()?;
    Ok(done)
}

/// Rows, and height, width and colours of pictures or columns of others.
fn shape(about: &About) -> Vec<usize> {
    match about.image {
        Some(ImageShape { height, width, channels: 1 }) => vec![about.rows, height, width],
        Some(ImageShape { height, width, channels }) => vec![about.rows, height, width, channels],
        None => vec![about.rows, about.dim],
    }
}

fn idx_header(about: &About) -> Result<Vec<u8>> {
    let shape = shape(about);
    let mut header = vec![0, 0, 0x08, shape.len() as u8];
    for length in shape {
        let length = u32::try_from(length).map_err(|_| {
            Error::failure("write idx", format!("{length} is more than it can tell"), "report it")
        })?;
        header.extend(length.to_be_bytes());
    }
    Ok(header)
}

/// A header, then all rows, each block turned into bytes by itself.
fn write_plain<R>(
    out: &Path,
    header: &[u8],
    fill: impl FnOnce(Take<'_>) -> Result<R>,
    bytes: impl Fn(&[f64]) -> Vec<u8>,
) -> Result<R> {
    let mut file = BufWriter::with_capacity(1 << 20, Aside::create(out)?);
    let failed = |error| Error::write(out, error);
    file.write_all(header).map_err(failed)?;
    let done = fill(&mut |_, rows| file.write_all(&bytes(rows)).map_err(failed))?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.finish()?;
    Ok(done)
}

fn write_table<R>(
    out: &Path,
    columns: &[Column],
    fill: impl FnOnce(Take<'_>) -> Result<R>,
) -> Result<R> {
    let failed = |error: csv::Error| Error::write(out, std::io::Error::other(error));
    let mut table = csv::WriterBuilder::new()
        .delimiter(if out.extension().is_some_and(|name| name == "tsv") { b'\t' } else { b',' })
        .from_writer(Aside::create(out)?);
    table.write_record(columns.iter().map(|column| &column.name)).map_err(failed)?;
    let done = fill(&mut |_, rows| {
        rows.chunks_exact(columns.len().max(1)).try_for_each(|row| {
            let cells = row.iter().zip(columns).map(|(&value, column)| cell(value, column));
            table.write_record(cells).map_err(failed)
        })
    })?;
    let file = table.into_inner().map_err(|error| Error::write(out, error.into_error()))?;
    file.finish()?;
    Ok(done)
}

fn cell(value: f64, column: &Column) -> String {
    match column.categories.get(value as usize) {
        Some(category) if value >= 0.0 => category.clone(),
        _ => value.to_string(),
    }
}

fn write_wav<R>(
    out: &Path,
    sound: Sound,
    about: &About,
    fill: impl FnOnce(Take<'_>) -> Result<R>,
) -> Result<R> {
    let (channels, frame) = (usize::from(sound.channels), about.dim);
    if channels == 0 || frame == 0 || sound.rows(frame) != about.rows {
        return Err(miscounted());
    }
    let mut file = BufWriter::with_capacity(1 << 20, Aside::create(out)?);
    let failed = |error| Error::write(out, error);
    file.write_all(&wav_header(sound)?).map_err(failed)?;
    // The channels of a frame may be told apart by the end of a block.
    let (mut waiting, mut left) = (Vec::with_capacity(channels * frame), sound.samples);
    let done = fill(&mut |_, rows| {
        for row in rows.chunks_exact(frame) {
            waiting.extend(row.iter().map(|&value| (value * FULL_SCALE) as i16));
            if waiting.len() < channels * frame {
                continue;
            }
            for place in 0..frame.min(left) {
                for channel in 0..channels {
                    let sample: i16 = waiting[channel * frame + place];
                    file.write_all(&sample.to_le_bytes()).map_err(failed)?;
                }
            }
            left = left.saturating_sub(frame);
            waiting.clear();
        }
        Ok(())
    })?;
    if left > 0 {
        return Err(miscounted());
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.finish()?;
    Ok(done)
}

/// `RIFF`, `fmt ` of 16-bit PCM and the begin of `data`.
fn wav_header(sound: Sound) -> Result<Vec<u8>> {
    let per_moment = 2 * u32::from(sound.channels);
    let too_long = || Error::failure("write WAV", "it would be longer than 4 GiB", "report it");
    let data = u32::try_from(sound.samples).ok().and_then(|n| n.checked_mul(per_moment));
    let data = data.filter(|&bytes| bytes <= u32::MAX - 36).ok_or_else(too_long)?;
    let per_second = sound.sample_rate.wrapping_mul(per_moment);
    let mut header = b"RIFF".to_vec();
    header.extend((data + 36).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(sound.channels.to_le_bytes());
    header.extend(sound.sample_rate.to_le_bytes());
    header.extend(per_second.to_le_bytes());
    header.extend((per_moment as u16).to_le_bytes());
    header.extend(16_u16.to_le_bytes());
    header.extend(b"data");
    header.extend(data.to_le_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::{OpenOptions, Origin, open, origin};

    /// Rows in two blocks through a file and the library's readers.
    fn there_and_back(name: &str, about: &About, columns: &[Column], rows: &[f64]) -> Vec<f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let cut = about.dim * (about.rows / 2);
        write_rows(&path, about, columns, |take| {
            take(0, &rows[..cut])?;
            take(about.rows / 2, &rows[cut..])
        })
        .unwrap();
        let options = OpenOptions { frame: Some(about.dim), colour: true, ..Default::default() };
        let plain = OpenOptions { colour: false, ..options.clone() };
        let set = open(path.to_str().unwrap(), &plain)
            .or_else(|_| open(path.to_str().unwrap(), &options))
            .unwrap();
        assert_eq!((set.rows.rows(), set.rows.dim()), (about.rows, about.dim), "{name}");
        assert_eq!(set.image, about.image, "{name}");
        let kind = origin(path.to_str().unwrap()).unwrap();
        assert_eq!(matches!(kind, Origin::Idx), about.container == Container::Idx);
        let mut back = vec![0.0; rows.len()];
        set.rows.read_f64(0, &mut back).unwrap();
        back
    }

    #[test]
    fn rows_come_back_from_every_kind_of_file() {
        let bytes: Vec<f64> = (0..48).map(|i| f64::from(i * 5)).collect();
        let image = Some(ImageShape { height: 3, width: 4, channels: 1 });
        let about = |container, values, image| About { container, values, rows: 4, dim: 12, image };
        let pictures = Container::Pictures(
            ["a/1", "a/2", "b/1", "b/2"].map(|n| format!("{n}.png").into()).to_vec(),
        );
        for (name, container) in [("x.npy", Container::Npy), ("x", Container::Idx), ("x", pictures)]
        {
            let about = about(container, Values::Bytes, image);
            assert_eq!(there_and_back(name, &about, &[], &bytes), bytes, "{name}");
        }
        let numbers: Vec<f64> = bytes.iter().map(|x| x / 7.0).collect();
        let npy = about(Container::Npy, Values::F64, None);
        assert_eq!(there_and_back("x.npy", &npy, &[], &numbers), numbers);
        let column = |name: usize| Column { name: format!("c{name}"), categories: Vec::new() };
        let columns: Vec<Column> = (0..12).map(column).collect();
        let csv = about(Container::Csv, Values::F64, None);
        assert_eq!(there_and_back("x.csv", &csv, &columns, &numbers), numbers);
    }

    #[test]
    fn sound_comes_back_in_both_channels_and_its_length() {
        let sound = Sound { sample_rate: 8000, channels: 2, samples: 23 };
        let about = About {
            container: Container::Wav(sound),
            values: Values::Pcm16,
            rows: 6,
            dim: 10,
            image: None,
        };
        let mut rows: Vec<f64> = (0..60).map(|i| f64::from(i * 500 - 15_000) / 32768.0).collect();
        // Behind the end of both channels there is silence.
        rows[43..50].fill(0.0);
        rows[53..60].fill(0.0);
        assert_eq!(there_and_back("x.wav", &about, &[], &rows), rows);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let about = About {
            container: Container::Npy,
            values: Values::Bytes,
            rows: 4,
            dim: 2,
            image: None,
        };
        let failed = write_rows(&path, &about, &[], |_| -> Result<()> { Err(miscounted()) });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
