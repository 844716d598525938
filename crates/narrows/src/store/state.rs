//! What a program needs to go on: named vectors and a word about them, in one safetensors file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde_json::Value;

use super::tensors::write_tensors_aside;
use crate::error::{Error, Result};

/// The one key of the file's metadata.
const ABOUT: &str = "narrows";
const REMEDY: &str = "start anew without --resume";

/// Vectors with names.
type Vectors = Vec<(String, Vec<f32>)>;

/// Writes vectors and what is to be known about them; whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_state(
    path: &Path,
    about: &Value,
    vectors: &[(String, impl AsRef<[f32]>)],
) -> Result<()> {
    let failed = |error: safetensors::SafeTensorError| {
        Error::failure("write a checkpoint", error.to_string(), "report it")
    };
    let mut views = Vec::with_capacity(vectors.len());
    for (name, values) in vectors {
        let values = values.as_ref();
        let bytes = bytemuck::cast_slice(values);
        views.push((
            &name[..],
            TensorView::new(Dtype::F32, vec![values.len()], bytes).map_err(failed)?,
        ));
    }
    let about = HashMap::from([(ABOUT.to_owned(), about.to_string())]);
    write_tensors_aside(path, views, Some(about))
}

/// Reads what [`write_state`] wrote, one vector after the other: a state may be a large part of the memory.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn read_state(path: &Path) -> Result<(Value, Vectors)> {
    let failed = |error: io::Error| Error::read(path, error);
    let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut header_length = [0; 8];
    file.read_exact(&mut header_length).map_err(|error| bad(error.to_string()))?;
    let header_length = u64::from_le_bytes(header_length);
    let Some(rest) = length.checked_sub(8).and_then(|rest| rest.checked_sub(header_length)) else {
        return Err(bad("it ends before its header does".to_owned()));
    };
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(failed)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?;
    if header.data_len() as u64 != rest {
        return Err(bad(format!("{rest} bytes of numbers where {} belong", header.data_len())));
    }
    let about = header.metadata().as_ref().and_then(|all| all.get(ABOUT));
    let about = about.ok_or_else(|| bad("it says nothing about itself".to_owned()))?;
    let about = serde_json::from_str(about).map_err(|error| bad(error.to_string()))?;
    let mut vectors = Vec::new();
    // They lie one behind the other, without gaps: the header was checked for that.
    for name in header.offset_keys() {
        let info = header.info(&name).ok_or_else(|| bad(format!("'{name}' is missing")))?;
        if info.dtype != Dtype::F32 {
            return Err(bad(format!("'{name}' is {}, not f32", info.dtype)));
        }
        let mut values = vec![0.0_f32; (info.data_offsets.1 - info.data_offsets.0) / 4];
        file.read_exact(bytemuck::cast_slice_mut(&mut values)).map_err(failed)?;
        vectors.push((name, values));
    }
    Ok((about, vectors))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.safetensors");
        let vectors = vec![("a".to_owned(), vec![1.5_f32, -2.0]), ("b".to_owned(), vec![])];
        let about = json!({"epoch": 3, "loss": 0.1});
        write_state(&path, &about, &vectors).expect("writes");
        let (again, mut read) = read_state(&path).expect("reads");
        read.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!((again, read), (about, vectors));
        let bytes = fs::read(&path).expect("reads");
        for length in [bytes.len() - 3, 30, 5, 0] {
            fs::write(&path, &bytes[..length]).expect("writes");
            assert!(read_state(&path).expect_err("cut").to_string().contains("without --resume"));
        }
    }
}
