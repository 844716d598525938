//! Section 4: what is projected and what is left make a right angle.

use narrows::Result;
use narrows::evaluate::evaluate;
use narrows::model::Model;
use narrows::report::chart::{Axis, Series, Style};
use narrows::report::page::Block;
use narrows::report::{number, percent};
use serde_json::json;

use super::draw::{line, lines};
use super::told::Told;
use super::workshop::Workshop;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let most = shop.pca(usize::MAX)?.components.nrows();
    let mut counts: Vec<usize> = (0..).map(|step| 1 << step).take_while(|k| *k < most).collect();
    counts.push(most);
    let mut found = Vec::new();
    for &k in &counts {
        let evaluation = evaluate(&digits.test, &Model::Pca(shop.pca(k)?), None, None)?;
        found.extend(evaluation.pythagoras.map(|sums| (k as f64, sums)));
    }
    let worst = found.iter().map(|(_, sums)| sums.relative_error).fold(0.0, f64::max);
    let total = found.first().map_or(f64::NAN, |(_, sums)| sums.total);
    let first_above = found.iter().find(|(_, sums)| sums.projected > 0.9 * sums.total);
    let chart = lines(
        Axis { covers: vec![1.0], ..Axis::logarithmic("components k") },
        Axis { covers: vec![0.0], ..Axis::linear("squared length per held-out picture") },
        vec![
            line("projected", 0, found.iter().map(|(k, sums)| [*k, sums.projected])),
            line("left over", 1, found.iter().map(|(k, sums)| [*k, sums.residual])),
            Series::new(
                "their sum",
                Style::Dashed,
                7,
                found.iter().map(|(k, sums)| [*k, sums.projected + sums.residual]).collect(),
            ),
        ],
    );
    let reached = first_above.map_or(String::new(), |(k, sums)| {
        format!("; {k} components hold {}", percent(sums.projected / sums.total))
    });
    Ok(Told {
        idea: "A picture less the mean is split into what lies in the space of the components and what is left, \
               and the two are at right angles. So to keep as much variance as possible and to lose as little \
               as possible are one and the same wish, for every k and for pictures that were never seen."
            .to_owned(),
        formula: "‖V(x − μ)‖² + ‖x − x̂‖² = ‖x − μ‖²".to_owned(),
        figure: format!(
            "projected + left over = {total:.4} for every k from 1 to {most}, to {} of it{reached}",
            number(worst)
        ),
        measured: json!({
            "total": total,
            "largest_relative_error": worst,
            "over_k": found.iter().map(|(k, sums)| json!({"k": k, "sums": sums})).collect::<Vec<_>>(),
        }),
        blocks: vec![Block::Figure(
            chart,
            "Each of the three is summed on its own over held-out pictures.".to_owned(),
        )],
        command: "narrows evaluate runs/pca --data test.npy    # prints the three sums".to_owned(),
    })
}
