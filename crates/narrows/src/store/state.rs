//! What a program needs to go on: named vectors and a word about them, in one safetensors file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
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

/// Reads what [`write_state`] wrote.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn read_state(path: &Path) -> Result<(Value, Vectors)> {
    let bytes = fs::read(path).map_err(|error| Error::read(path, error))?;
    let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let about = header.metadata().as_ref().and_then(|all| all.get(ABOUT));
    let about = about.ok_or_else(|| bad("it says nothing about itself".to_owned()))?;
    let about = serde_json::from_str(about).map_err(|error| bad(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
    let mut vectors = Vec::with_capacity(tensors.len());
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("'{name}' is {}, not f32", view.dtype())));
        }
        vectors.push((name.to_owned(), bytemuck::pod_collect_to_vec(view.data())));
    }
    Ok((about, vectors))
}

#[cfg(test)]
mod tests {
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
        fs::write(&path, &bytes[..bytes.len() - 3]).expect("writes");
        assert!(read_state(&path).expect_err("cut").to_string().contains("without --resume"));
    }
}
