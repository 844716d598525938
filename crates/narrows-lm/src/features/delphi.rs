//! Every firing, as the library delphi caches them for its explainers and scorers.
//!
//! ```text
//! MODULE/config.json                  what delphi reads beside it: model_name, and how the tokens came about
//! MODULE/START_END.safetensors        latents START to END, both included
//!   tokens (w, l)       i64           the windows, in every file
//!   locations (n, 3)    u16 or u32    window, position, latent − START
//!   activations (n)     f16           a, of all with |a| > 10⁻⁵
//! START, END                          ⌊linspace(0, latents, files + 1)⌋, the last one less 1
//! ```
//!
//! Locations are u16 where window and latent − START are below 65,536, as delphi keeps them. Firings lie in files without a
//! name while they come by, 14 bytes each, so that the disk holds them and not memory, and nothing is left of them
//! whatever happens.
//!
//! Source: `LatentCache` and `TensorBuffer` of EleutherAI's delphi 0.1.3.
//! Differs from: tokens that begin a text have no firings; delphi keeps theirs unless told to filter them. The text is no data
//! set of the Hugging Face Hub: `dataset_repo` names the files, and delphi takes the tokens from the cache.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use half::f16;
use narrows::store::write_json;
use narrows::{Error, Result};
use serde_json::json;

use super::collect::Firing;
use crate::text::{AT_ONCE, Windows};

/// Smaller ones are left out.
const SMALLEST: f32 = 1e-5;

/// What is said beside the firings.
#[derive(Debug, Clone, PartialEq)]
pub struct DelphiOptions {
    /// The folder of the dictionary's place within the cache; delphi calls its hookpoints so.
    pub module: String,
    /// The model whose tokenizer reads the tokens: a folder or a name of the Hub.
    pub model_name: String,
    /// The text.
    pub dataset: String,
    /// Files that the latents are divided among.
    pub splits: usize,
}

/// Latents of one file.
struct Split {
    first: u32,
    last: u32,
    /// Three u32 for each firing.
    locations: BufWriter<File>,
    activations: BufWriter<File>,
    firings: u64,
    /// Whether a number does not fit into u16.
    wide: bool,
}

/// Writes a cache while firings come by.
pub struct DelphiWriter<'a> {
    folder: PathBuf,
    windows: &'a Windows,
    options: DelphiOptions,
    splits: Vec<Split>,
}

impl<'a> DelphiWriter<'a> {
    /// Begins a cache of `latents` latents in a folder that is there.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn create(
        folder: &Path,
        latents: usize,
        windows: &'a Windows,
        options: DelphiOptions,
    ) -> Result<Self> {
        let folder = folder.join(&options.module);
        std::fs::create_dir_all(&folder).map_err(|error| Error::write(&folder, error))?;
        let spill = || {
            let file = tempfile::tempfile_in(&folder);
            file.map(BufWriter::new).map_err(|error| Error::write(&folder, error))
        };
        let split = |bounds: &[usize]| -> Result<Split> {
            Ok(Split {
                first: bounds[0] as u32,
                last: bounds[1] as u32 - 1,
                locations: spill()?,
                activations: spill()?,
                firings: 0,
                wide: false,
            })
        };
        let bounds = bounds(latents, options.splits.clamp(1, latents.max(1)));
        let splits = bounds.windows(2).map(split).collect::<Result<_>>()?;
        Ok(Self { folder, windows, options, splits })
    }

    /// Adds firings, which come in the order of windows, positions and latents.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, firings: &[Firing]) -> Result<()> {
        for firing in firings.iter().filter(|firing| firing.code.abs() > SMALLEST) {
            let at = self.splits.partition_point(|split| split.last < firing.feature);
            self.splits[at].push(firing).map_err(|error| Error::write(&self.folder, error))?;
        }
        Ok(())
    }

    /// Writes the files.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn finish(self) -> Result<()> {
        let Self { folder, windows, options, splits } = self;
        let count = splits.len();
        for split in splits {
            let path = folder.join(format!("{}_{}.safetensors", split.first, split.last));
            split.write(&path, windows).map_err(|error| Error::write(&path, error))?;
        }
        let told = json!({
            "model_name": options.model_name,
            "dataset_repo": options.dataset,
            "dataset_split": "",
            "dataset_name": "",
            "dataset_column": "text",
            "batch_size": AT_ONCE,
            "ctx_len": windows.length,
            "cache_ctx_len": windows.length,
            "n_tokens": windows.tokens.len(),
            "n_splits": count,
            "narrows_version": env!("CARGO_PKG_VERSION"),
        });
        write_json(&folder.join("config.json"), &told)
    }
}

/// Bounds of the files in the numbers of delphi, which come of steps in f32: from the nearer end.
fn bounds(latents: usize, splits: usize) -> Vec<usize> {
    let step = latents as f32 / splits as f32;
    let bound = |place: usize| match place < splits.div_ceil(2) {
        true => step * place as f32,
        false => (-step).mul_add((splits - place) as f32, latents as f32),
    };
    (0..=splits).map(|place| bound(place) as usize).collect()
}

impl Split {
    fn push(&mut self, firing: &Firing) -> io::Result<()> {
        let location = [firing.window, firing.place, firing.feature - self.first];
        self.wide |= location.iter().any(|&number| number > u32::from(u16::MAX));
        self.locations.write_all(bytemuck::bytes_of(&location.map(u32::to_le)))?;
        self.activations.write_all(&f16::from_f32(firing.code).to_le_bytes())?;
        self.firings += 1;
        Ok(())
    }

    fn write(self, path: &Path, windows: &Windows) -> io::Result<()> {
        let (n, l) = (self.firings, windows.length as u64);
        let (dtype, bytes) = if self.wide { ("U32", 12) } else { ("U16", 6) };
        let tokens = 8 * windows.tokens.len() as u64;
        let locations = tokens + bytes * n;
        // The larger numbers first, so that each begins at a multiple of its size.
        let header = json!({
            "tokens": {
                "dtype": "I64",
                "shape": [windows.sequences(), l],
                "data_offsets": [0, tokens],
            },
            "locations": {"dtype": dtype, "shape": [n, 3], "data_offsets": [tokens, locations]},
            "activations": {"dtype": "F16", "shape": [n], "data_offsets": [locations, locations + 2 * n]},
        });
        let mut header = header.to_string();
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for token in &windows.tokens {
            file.write_all(&i64::from(*token).to_le_bytes())?;
        }
        let mut kept = BufReader::new(rewound(self.locations)?);
        if self.wide {
            io::copy(&mut kept, &mut file)?;
        } else {
            let mut number = [0; 4];
            for _ in 0..3 * n {
                kept.read_exact(&mut number)?;
                file.write_all(&number[..2])?;
            }
        }
        io::copy(&mut rewound(self.activations)?, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

fn rewound(file: BufWriter<File>) -> io::Result<File> {
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_latents_that_torch_gives_them() {
        // torch.linspace(0, n, steps=s + 1).long()
        assert_eq!(bounds(4096, 5), [0, 819, 1638, 2457, 3276, 4096]);
        assert_eq!(
            bounds(131_072, 7),
            [0, 18_724, 37_449, 56_173, 74_898, 93_622, 112_347, 131_072]
        );
        assert_eq!(bounds(3, 3), [0, 1, 2, 3]);
    }
}
