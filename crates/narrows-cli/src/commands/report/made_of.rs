//! The components of a model.

use narrows::model::{Model, Network};
use narrows::report::{ComponentKind, Components};
use ndarray::ArrayView2;

use super::rows::narrow;

/// Components that are shown.
const COMPONENTS: usize = 24;

/// What the model is made of.
pub(super) fn components(model: &Model) -> Components {
    let first = |rows: ArrayView2<'_, f32>| {
        rows.outer_iter().take(COMPONENTS).map(|row| row.to_vec()).collect()
    };
    let (kind, rows, count) = match model {
        Model::Pca(pca) => {
            let rows = pca.components.outer_iter().take(COMPONENTS).map(narrow).collect();
            (ComponentKind::Axes, rows, pca.components.nrows())
        }
        Model::Linear(linear) => {
            let columns = linear.decoder().reversed_axes();
            (ComponentKind::Decoder, first(columns), columns.nrows())
        }
        Model::Network(network) => filters(network),
        Model::Predictor(predictor) => filters(predictor.network()),
        Model::Dictionary(dictionary) => {
            let directions = &dictionary.decoder;
            (ComponentKind::Decoder, first(directions.view()), directions.rows())
        }
    };
    Components { kind, rows, count }
}

/// What the first layer looks for.
fn filters(network: &Network) -> (ComponentKind, Vec<Vec<f32>>, usize) {
    let filters = network.weight(0);
    let rows = filters.outer_iter().take(COMPONENTS).map(|row| row.to_vec()).collect();
    (ComponentKind::Filters, rows, filters.nrows())
}
