//! Tensors as one safetensors file, each written from where it lies: in memory they may fit only once.
//!
//! The bytes are those of `safetensors::serialize_to_file`, whose files are private whatever the umask says, and
//! which takes the place of a file that is being written aside.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo, TensorView};

use super::aside::Aside;
use crate::error::{Error, Result};

/// Writes tensors with their names, and words about them; whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_tensors_aside(
    path: &Path,
    mut tensors: Vec<(&str, TensorView<'_>)>,
    about: Option<HashMap<String, String>>,
) -> Result<()> {
    tensors.sort_by(|(name, own), (other_name, other)| {
        other.dtype().cmp(&own.dtype()).then(name.cmp(other_name))
    });
    let header = header(&tensors, about)
        .map_err(|problem| Error::failure("write tensors", problem, "report it"))?;
    let mut aside = Aside::create(path)?;
    let parts = tensors.iter().map(|(_, tensor)| tensor.data());
    for bytes in std::iter::once(&header[..]).chain(parts) {
        aside.write_all(bytes).map_err(|error| aside.failed(error))?;
    }
    aside.finish()
}

/// What stands before the numbers: its length, then names, kinds, shapes and places as JSON.
fn header(
    tensors: &[(&str, TensorView<'_>)],
    about: Option<HashMap<String, String>>,
) -> std::result::Result<Vec<u8>, String> {
    let mut end = 0;
    let described = tensors.iter().map(|(name, tensor)| {
        let start = end;
        end += tensor.data().len();
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        ((*name).to_owned(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    });
    let described = Metadata::new(about, described.collect()).map_err(|error| error.to_string())?;
    let mut text = serde_json::to_vec(&described).map_err(|error| error.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::tensor::{Dtype, serialize};

    use super::*;

    #[test]
    fn files_have_the_bytes_of_the_library_and_are_as_readable_as_any_new_file() {
        let bytes: Vec<u8> = (0..24).collect();
        let view = |kind, shape: &[usize]| TensorView::new(kind, shape.to_vec(), &bytes);
        let tensors =
            [("b", Dtype::F32, &[2, 3][..]), ("a", Dtype::F32, &[6]), ("z", Dtype::F64, &[3])]
                .map(|(name, kind, shape)| (name, view(kind, shape).expect("fits")));
        let about = Some(HashMap::from([("about".to_owned(), "test".to_owned())]));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("own.safetensors");
        write_tensors_aside(&path, tensors.to_vec(), about.clone()).expect("writes");
        let expected = serialize(tensors, about).expect("serialises");
        assert_eq!(fs::read(&path).expect("reads"), expected);
        let plain = folder.path().join("plain");
        fs::write(&plain, "").expect("writes");
        let permissions = |path: &Path| fs::metadata(path).expect("is there").permissions();
        assert_eq!(permissions(&path), permissions(&plain));
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 2);
    }
}
