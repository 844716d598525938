//! A row-major matrix, of `f32` unless said otherwise.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Real;
use crate::error::{Error, Result};

/// `rows × cols` numbers in one block of memory, row after row.
///
/// ```
/// use narrows::compute::Matrix;
/// let m = Matrix::from_rows(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!(m.row(1), [4.0, 5.0, 6.0]);
/// assert_eq!(m.view()[[0, 2]], 3.0);
/// # Ok::<(), narrows::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix<T = f32> {
    rows: usize,
    cols: usize,
    data: Vec<T>,
}

impl<T: Real> Matrix<T> {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![T::ZERO; rows * cols] }
    }

    /// A matrix over `data`, which holds the rows one after the other.
    ///
    /// # Errors
    /// If `data` does not hold exactly `rows × cols` numbers.
    pub fn from_rows(rows: usize, cols: usize, data: Vec<T>) -> Result<Self> {
        if data.len() != rows * cols {
            return Err(Error::mistake(
                "make a matrix",
                format!("{rows} × {cols} = {} numbers", rows * cols),
                format!("{}", data.len()),
                "give as many numbers as the shape has places",
            ));
        }
        Ok(Self { rows, cols, data })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[T] {
        &self.data[index * self.cols..(index + 1) * self.cols]
    }

    /// All numbers, row after row.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    /// All numbers, row after row, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The same memory as an `ndarray` view.
    pub fn view(&self) -> ArrayView2<'_, T> {
        ArrayView2::from_shape((self.rows, self.cols), &self.data).expect("the shape is kept true")
    }

    /// The same memory as an `ndarray` view that can be written.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, T> {
        ArrayViewMut2::from_shape((self.rows, self.cols), &mut self.data)
            .expect("the shape is kept true")
    }

    /// The same memory as an owned `ndarray` array.
    pub fn into_array(self) -> Array2<T> {
        Array2::from_shape_vec((self.rows, self.cols), self.data).expect("the shape is kept true")
    }

    /// Changes the shape, keeping the memory; the numbers are to be overwritten.
    pub fn reshape(&mut self, rows: usize, cols: usize) {
        self.data.resize(rows * cols, T::ZERO);
        (self.rows, self.cols) = (rows, cols);
    }
}

impl<T: Real> From<Array2<T>> for Matrix<T> {
    /// Takes over the memory of a row-major array; copies any other layout.
    fn from(array: Array2<T>) -> Self {
        let (rows, cols) = array.dim();
        let data = if array.is_standard_layout() && array.len() == rows * cols {
            let (data, offset) = array.into_raw_vec_and_offset();
            match offset {
                Some(0) | None if data.len() == rows * cols => data,
                Some(start) => data[start..start + rows * cols].to_vec(),
                None => data,
            }
        } else {
            array.iter().copied().collect()
        };
        Self { rows, cols, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn arrays_pass_in_and_out_without_a_copy() {
        let array = array![[1.0_f32, 2.0], [3.0, 4.0]];
        let address = array.as_ptr();
        let matrix = Matrix::from(array);
        assert_eq!(matrix.as_slice().as_ptr(), address);
        assert_eq!(matrix.into_array().as_ptr(), address);
    }

    #[test]
    fn column_major_arrays_are_put_in_order() {
        let array = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]].reversed_axes();
        assert_eq!(Matrix::from(array).as_slice(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn a_wrong_count_is_refused() {
        assert!(Matrix::from_rows(2, 2, vec![0.0_f32; 3]).is_err());
    }
}
