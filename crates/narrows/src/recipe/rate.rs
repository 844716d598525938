//! The learning rate that a recipe is to be given.

use super::{Kind, Recipe};
use crate::data::{Dataset, Preparation, Prepared};
use crate::error::{Error, Result};
use crate::train::{self, Observer, RangeTest, Task, range_test};

const OPERATION: &str = "find a learning rate";

impl Recipe {
    /// Trains what the recipe asks for with a rising learning rate, of a stack its first storey, and
    /// throws it away; see [`range_test`].
    ///
    /// # Errors
    /// As [`Recipe::fit`] and [`range_test`]; if nothing is learned by steps.
    pub fn find_learning_rate(
        &self,
        dataset: &Dataset,
        observer: &mut dyn Observer,
    ) -> Result<RangeTest> {
        if self.model.kind == Kind::Pca {
            return Err(no_rate("pca, which has a closed form", "leave --find-lr out"));
        }
        self.check_complete(OPERATION)?;
        let preparation = Preparation::fit(dataset, &self.prepare)?;
        let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
        let held = train::read(&rows)?;
        let options = self.training();
        match self.model.kind {
            Kind::Network => {
                let task = self.task(&held, &preparation)?;
                range_test(&mut self.network(&rows)?, &task, &options, observer)
            }
            Kind::Stack => {
                let stack = self.stack(&held, &preparation)?;
                let Some((task, options)) = &stack.storeys[0].training else {
                    let remedy = "find the rate of a network on the codes of PCA";
                    return Err(no_rate("a stack that begins with PCA", remedy));
                };
                range_test(&mut stack.untrained(0, &held, task)?, task, options, observer)
            }
            Kind::Linear | Kind::Pca => {
                self.check_linear(&rows)?;
                let task = Task::reconstruct(&held);
                range_test(&mut self.linear(&rows)?, &task, &options, observer)
            }
        }
    }
}

fn no_rate(got: &str, remedy: &str) -> Error {
    Error::mistake(OPERATION, "a model that is learned by following gradients", got, remedy)
}
