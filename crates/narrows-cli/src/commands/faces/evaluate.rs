//! How well faces are recognised.

use std::io::Write;

use anyhow::Result;
use narrows::data::{self, OpenOptions};
use narrows::faces::{self, EvaluateOptions, Evaluation, Faces, Pictures, Rate};
use narrows::store::{Folder, check_replaceable};

use super::EvaluateArgs;
use super::page::{self, percent};
use crate::commands::Screen;
use crate::commands::table::table;

pub(super) fn evaluate(args: EvaluateArgs) -> Result<()> {
    check_replaceable(&args.out, Folder::FacesEvaluation)?;
    let open = OpenOptions { colour: args.colour, resize: args.resize, ..Default::default() };
    let dataset = data::open(&args.data, &open)?;
    let faces = Faces::read(&dataset)?;
    let options = EvaluateOptions {
        splits: args.splits,
        train_per_person: args.train_per_person,
        components: args.components,
        drop_leading: args.drop_leading,
        seed: args.seed,
    };
    args.output.say(format!("{} pictures, {} splits …", faces.count(), options.splits));
    let found = faces::evaluate(&faces, &options)?;
    let pictures = Pictures::of(&faces, found.open_set_components)?;
    page::write_evaluation(&dataset, &faces, &found, &pictures, &args.out)?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        print_found(&args.data, &found)?;
    }
    args.output.say(format!("written: {}", args.out.join("report.html").display()));
    Ok(())
}

fn print_found(data: &str, found: &Evaluation) -> Result<()> {
    writeln!(
        Screen,
        "{data}: {} pictures of {} persons; {} splits with {} of each person in the gallery\n",
        found.faces, found.persons, found.options.splits, found.options.train_per_person
    )?;
    writeln!(Screen, "identified, mean ± standard deviation over the splits")?;
    let mut rows: Vec<Vec<String>> = found
        .rates
        .iter()
        .map(|rates| {
            vec![
                rates.components.to_string(),
                percent(rates.explained_variance),
                spread(rates.l2),
                spread(rates.cosine),
                spread(rates.mahalanobis),
            ]
        })
        .collect();
    rows.push(vec!["raw pixels".to_owned(), String::new(), spread(found.pixels)]);
    let headings = ["#eigenfaces", "#variance", "#L2", "#cosine", "#Mahalanobis"];
    writeln!(Screen, "{}", table(&headings, &rows))?;

    writeln!(Screen, "half of the persons strangers, {} eigenfaces", found.open_set_components)?;
    let rows: Vec<Vec<String>> = found
        .open_set
        .iter()
        .map(|open| {
            let accepted = |rate: f64| percent(open.correct_accept_rate(rate));
            let name = open.matcher.label().to_owned();
            vec![name, spread(open.equal_error_rate), accepted(0.01), accepted(0.05)]
        })
        .collect();
    let headings =
        ["distance", "#equal error rate", "#right at 1 % false accepts", "#right at 5 %"];
    write!(Screen, "{}", table(&headings, &rows))?;
    Ok(())
}

fn spread(rate: Rate) -> String {
    format!("{:.2} ± {:.2} %", 100.0 * rate.mean, 100.0 * rate.sd)
}
