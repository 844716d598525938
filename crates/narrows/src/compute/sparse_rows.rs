//! Rows that are mostly zero: of each row only the columns that are not.
//!
//! ```text
//! rows (n, m)      starts (n + 1)      columns, values (number of entries)
//! row i has the entries starts[i] .. starts[i + 1], in rising order of their columns
//! ```

use super::Matrix;

/// A matrix `(n, m)` of which only the entries that are not zero are kept, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseRows {
    cols: usize,
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// No rows of `cols` columns.
    pub fn new(cols: usize) -> Self {
        Self { cols, starts: vec![0], columns: Vec::new(), values: Vec::new() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of columns, kept or not.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of entries that are kept.
    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    /// Columns and values of one row.
    pub fn row(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Forgets all rows, keeping the memory.
    pub fn clear(&mut self) {
        self.starts.truncate(1);
        self.columns.clear();
        self.values.clear();
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the columns do not rise or lie outside: the caller's mistake.
    pub fn push_row(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) {
        let start = self.columns.len();
        for (column, value) in entries {
            let last = self.columns[start..].last();
            assert!((column as usize) < self.cols && last.is_none_or(|&last| last < column));
            self.columns.push(column);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    /// All numbers, zeros too: `4·n·m` bytes.
    pub fn to_dense(&self) -> Matrix {
        let mut dense = Matrix::zeros(self.rows(), self.cols);
        for (index, row) in dense.as_mut_slice().chunks_exact_mut(self.cols.max(1)).enumerate() {
            let (columns, values) = self.row(index);
            columns.iter().zip(values).for_each(|(&column, &value)| row[column as usize] = value);
        }
        dense
    }
}

impl From<&Matrix> for SparseRows {
    /// Keeps what is not zero.
    fn from(dense: &Matrix) -> Self {
        let mut sparse = Self::new(dense.cols());
        for index in 0..dense.rows() {
            let row = dense.row(index).iter().enumerate().filter(|(_, value)| **value != 0.0);
            sparse.push_row(row.map(|(column, &value)| (column as u32, value)));
        }
        sparse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_goes_there_and_back() {
        let dense = Matrix::from_rows(3, 4, vec![0., 2., 0., 3., 0., 0., 0., 0., -1., 0., 0., 0.])
            .expect("fits");
        let mut sparse = SparseRows::from(&dense);
        assert_eq!((sparse.rows(), sparse.cols(), sparse.entries()), (3, 4, 3));
        assert_eq!(sparse.row(0), (&[1, 3][..], &[2.0, 3.0][..]));
        assert_eq!(sparse.row(1), (&[][..], &[][..]));
        assert_eq!(sparse.to_dense(), dense);
        sparse.clear();
        assert_eq!((sparse.rows(), sparse.entries()), (0, 0));
    }
}
