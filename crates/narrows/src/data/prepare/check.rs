//! Whether other data fits a preparation, column by column.

use std::borrow::Cow;

use super::{Preparation, output_dim};
use crate::data::{Column, Dataset, ImageShape};
use crate::error::{Error, Result};

impl Preparation {
    /// Whether the rows of `dataset` can go through this preparation, and with which one: itself
    /// or, where the categories of a table are numbered differently, a copy that finds them by
    /// name.
    ///
    /// # Errors
    /// If the number of columns, the size of the pictures, the names of the columns or their order
    /// differ from the training data, or there is a category that the training data did not have.
    pub fn check(&self, dataset: &Dataset) -> Result<Cow<'_, Self>> {
        self.check_itself()?;
        let differs = |(expected, got): (String, String)| {
            let remedy = "give data laid out like the data the model was fitted on";
            Error::mistake(format!("prepare {}", dataset.name), expected, got, remedy)
        };
        if dataset.rows.dim() != self.input_dim {
            let expected = format!("{} columns, which the model was fitted on,", self.input_dim);
            return Err(differs((expected, format!("{} columns", dataset.rows.dim()))));
        }
        if let (Some(mine), Some(theirs)) = (self.image, dataset.image)
            && mine != theirs
        {
            let show = |i: ImageShape| format!("{} × {} × {}", i.height, i.width, i.channels);
            return Err(differs((format!("pictures of {}", show(mine)), show(theirs))));
        }
        let indices = (0..dataset.columns.len()).map(|at| self.match_column(at, &dataset.columns));
        let renumbered: Vec<Vec<usize>> =
            indices.collect::<std::result::Result<_, _>>().map_err(differs)?;
        if renumbered.iter().all(|indices| indices.iter().copied().eq(0..indices.len())) {
            return Ok(Cow::Borrowed(self));
        }
        Ok(Cow::Owned(Self { renumbered, ..self.clone() }))
    }

    /// The training index of every category of column `at` of another table, or what was expected
    /// of the column and what it is instead.
    fn match_column(
        &self,
        at: usize,
        theirs: &[Column],
    ) -> std::result::Result<Vec<usize>, (String, String)> {
        let (mine, column) = (self.columns.get(at), &theirs[at]);
        if let Some(mine) = mine
            && mine.name != column.name
        {
            let moved = theirs.iter().position(|other| other.name == mine.name);
            let moved = moved.map_or(String::new(), |to| {
                format!(" (`{}` is column {} here)", mine.name, to + 1)
            });
            let expected = format!("column {} to be `{}`", at + 1, mine.name);
            return Err((expected, format!("`{}`{moved}", column.name)));
        }
        let known = mine.map_or(&[][..], |mine| &mine.categories);
        if known.is_empty() != column.categories.is_empty() {
            let kind = |none: bool| if none { "numbers" } else { "categories" };
            let expected = format!("{} in {}", kind(known.is_empty()), self.place(at));
            return Err((expected, kind(column.categories.is_empty()).into()));
        }
        let find = |name: &String| {
            known.iter().position(|known| known == name).ok_or_else(|| {
                let place = self.place(at);
                let expected = format!("the categories {} in {place}", known.join(", "));
                (expected, format!("`{name}` as well"))
            })
        };
        column.categories.iter().map(find).collect()
    }

    /// Refuses a plan whose parts do not fit together, which only a damaged file can hold.
    fn check_itself(&self) -> Result<()> {
        let output_dim = output_dim(self.input_dim, &self.columns);
        let lengths = [self.shift.len(), self.scale.len()];
        let named = [0, self.input_dim].contains(&self.columns.len());
        if named && lengths == [output_dim; 2] && [0, output_dim].contains(&self.fill.len()) {
            return Ok(());
        }
        Err(Error::mistake(
            "read the preparation of the model",
            format!("{output_dim} numbers each in `shift` and `scale`"),
            format!("{} and {}", lengths[0], lengths[1]),
            "restore the file that the model was saved with",
        ))
    }
}
