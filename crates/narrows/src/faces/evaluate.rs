//! How well faces are recognised, measured on pictures that were not trained on.
//!
//! ```text
//! identification rate   share of probes whose nearest known face is of the right person
//! false-accept rate     share of strangers' faces with a nearest known face nearer than t
//! correct-accept rate   share of known persons' probes that are nearer than t to their nearest
//!                       known face, which is of the right person
//! equal error rate      false-accept rate at the t where it equals 1 − correct-accept rate
//! ```
//!
//! Every split chooses anew which pictures of each person are known; the others are probes. The
//! eigenfaces are fitted on the known pictures alone, once: fewer of them are the leading ones.
//! For strangers, half of the persons are taken out of the same split, eigenfaces are fitted on the
//! known pictures of the other half, and all pictures of those taken out are tried.
//!
//! Beside every distance stands the same nearest neighbour on raw pixels: eigenfaces save numbers,
//! they do not make faces easier to tell apart.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::{Array2, ArrayView1, Axis, s};
use serde::Serialize;

use super::distance::{Distance, euclidean, nearest_where};
use super::input::Faces;
use super::space::{Projection, fit, project};
use crate::compute::centred;
use crate::data::Labels;
use crate::error::{Error, Result};
use crate::model::pca::{Components, Pca};
use crate::random::Random;

/// Eigenfaces at which unknown persons and mistakes are looked at, where there are as many.
const USUAL_COMPONENTS: usize = 40;
/// Steps of the false-accept rate on the curve.
const CURVE_STEPS: usize = 200;
/// Probes whose pixels are compared at a time.
const BLOCK: usize = 512;

/// How to evaluate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvaluateOptions {
    /// Random splits.
    pub splits: usize,
    /// Known pictures of each person; the others are probes.
    pub train_per_person: usize,
    /// Numbers of eigenfaces to try; more than there are stands for all.
    pub components: Vec<usize>,
    /// Leading eigenfaces that distances leave out.
    pub drop_leading: usize,
    /// Seed of the splits.
    pub seed: u64,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        let components = vec![10, 20, 40, 80, usize::MAX];
        Self { splits: 20, train_per_person: 5, components, drop_leading: 0, seed: 0 }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Pictures in all.
    pub faces: usize,
    /// Persons in all.
    pub persons: usize,
    /// How it was measured; `components` as they came out.
    pub options: EvaluateOptions,
    /// Identification rate of the nearest neighbour on raw pixels.
    pub pixels: Rate,
    /// Identification rates for each number of eigenfaces.
    pub rates: Vec<Rates>,
    /// Eigenfaces at which unknown persons and mistakes were looked at.
    pub open_set_components: usize,
    /// What happens when half of the persons are strangers: raw pixels, then each distance.
    pub open_set: Vec<OpenSet>,
    /// Probes that were taken for somebody else by L2, the worst first.
    pub mistakes: Vec<Mistake>,
}

/// Mean and standard deviation over the splits, between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, divided by splits − 1; 0 for a single split.
    pub sd: f64,
}

/// Identification rates with a number of eigenfaces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// The number of eigenfaces.
    pub components: usize,
    /// Share of the variance of the known pictures that they explain, mean over the splits.
    pub explained_variance: f64,
    /// By Euclidean distance.
    pub l2: Rate,
    /// By angle.
    pub cosine: Rate,
    /// By Mahalanobis distance.
    pub mahalanobis: Rate,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Matcher {
    /// Raw pixels, by Euclidean distance.
    Pixels,
    /// Weights.
    Weights(Distance),
}

/// Recognition where half of the persons are strangers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenSet {
    /// What was compared.
    pub matcher: Matcher,
    /// Where false accepts are as frequent as known persons who are not accepted as themselves.
    pub equal_error_rate: Rate,
    /// Correct-accept rate for rising false-accept rates, mean over the splits.
    pub curve: Vec<RocPoint>,
}

/// A point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocPoint {
    /// At most so many strangers are accepted.
    pub false_accept_rate: f64,
    /// So many known persons are then accepted as who they are.
    pub correct_accept_rate: f64,
}

/// A probe that was taken for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mistake {
    /// The probe: a row of the pictures.
    pub probe: usize,
    /// The known face it was nearest to in its worst split.
    pub taken_for: usize,
    /// The nearest known face of the right person in that split.
    pub own: usize,
    /// Distance to the face it was taken for.
    pub distance: f64,
    /// Distance to the nearest face of the right person.
    pub own_distance: f64,
    /// Splits in which the probe was taken for somebody else.
    pub times: usize,
    /// Splits in which it was a probe.
    pub tries: usize,
}

impl Rates {
    /// The rate by one distance.
    pub fn by(&self, distance: Distance) -> Rate {
        match distance {
            Distance::L2 => self.l2,
            Distance::Cosine => self.cosine,
            Distance::Mahalanobis => self.mahalanobis,
        }
    }
}

impl Mistake {
    /// How much nearer the wrong face is than the right one.
    pub fn margin(&self) -> f64 {
        self.own_distance - self.distance
    }
}

impl OpenSet {
    /// Known persons accepted as who they are where at most this share of strangers is accepted.
    pub fn correct_accept_rate(&self, false_accept_rate: f64) -> f64 {
        let allowed = self.curve.iter().take_while(|p| p.false_accept_rate <= false_accept_rate);
        allowed.last().map_or(0.0, |point| point.correct_accept_rate)
    }
}

/// Measures recognition of `faces` over random splits.
///
/// # Errors
/// If the pictures have no names, a person has too few of them, there are fewer than four persons,
/// or the options ask for what cannot be had.
pub fn evaluate(faces: &Faces, options: &EvaluateOptions) -> Result<Evaluation> {
    let people = faces.known_people("evaluate recognition")?;
    let by_person = pictures_by_person(people, options.train_per_person)?;
    let components = components_to_try(faces, by_person.len(), options)?;
    let usual = components.iter().rev().find(|k| **k <= USUAL_COMPONENTS).unwrap_or(&components[0]);
    let mut tally = Tally::new(components.len(), faces.count());
    for index in 0..options.splits {
        let split = Split::draw(&by_person, options, index);
        closed_set(faces, people, &split, &components, *usual, options, &mut tally)?;
        open_set(faces, people, &split, *usual, options, &mut tally)?;
    }
    Ok(Evaluation {
        faces: faces.count(),
        persons: by_person.len(),
        pixels: Rate::of(&tally.pixels),
        rates: tally.rates(&components),
        open_set_components: *usual,
        open_set: tally.open_set.into_iter().map(Open::summary).collect(),
        mistakes: worst_first(tally.mistakes, &tally.tries),
        options: EvaluateOptions { components, ..options.clone() },
    })
}

/// Which pictures are known and which are probes.
struct Split {
    known: Vec<usize>,
    probes: Vec<usize>,
    /// For each class, whether the person plays a stranger when unknown persons are tried.
    stranger: BTreeMap<usize, bool>,
}

impl Split {
    fn draw(
        by_person: &BTreeMap<usize, Vec<usize>>,
        options: &EvaluateOptions,
        index: usize,
    ) -> Self {
        let mut random = Random::stream(options.seed, &format!("split {index}"));
        let (mut known, mut probes) = (Vec::new(), Vec::new());
        for pictures in by_person.values() {
            let mut pictures = pictures.clone();
            random.shuffle(&mut pictures);
            let (train, test) = pictures.split_at(options.train_per_person);
            known.extend(train);
            probes.extend(test);
        }
        let mut random = Random::stream(options.seed, &format!("strangers {index}"));
        let order = random.permutation(by_person.len());
        let strangers = by_person.len() / 2;
        let stranger =
            by_person.keys().zip(order).map(|(&person, place)| (person, place < strangers));
        Self { known, probes, stranger: stranger.collect() }
    }
}

/// What the splits have shown so far.
struct Tally {
    pixels: Vec<f64>,
    /// For each number of eigenfaces: shares explained, and rates for each distance.
    explained: Vec<Vec<f64>>,
    by_distance: Vec<[Vec<f64>; 3]>,
    open_set: Vec<Open>,
    mistakes: BTreeMap<usize, Mistake>,
    tries: Vec<usize>,
}

impl Tally {
    fn new(numbers: usize, faces: usize) -> Self {
        Self {
            pixels: Vec::new(),
            explained: vec![Vec::new(); numbers],
            by_distance: vec![Default::default(); numbers],
            open_set: Matcher::ALL.into_iter().map(Open::new).collect(),
            mistakes: BTreeMap::new(),
            tries: vec![0; faces],
        }
    }

    fn rates(&self, components: &[usize]) -> Vec<Rates> {
        let each = components.iter().zip(&self.explained).zip(&self.by_distance);
        each.map(|((&components, explained), [l2, cosine, mahalanobis])| Rates {
            components,
            explained_variance: Rate::of(explained).mean,
            l2: Rate::of(l2),
            cosine: Rate::of(cosine),
            mahalanobis: Rate::of(mahalanobis),
        })
        .collect()
    }

    fn add_mistake(&mut self, new: Mistake) {
        let worst = self.mistakes.entry(new.probe).or_insert(new);
        let times = worst.times + 1;
        if new.margin() > worst.margin() {
            *worst = new;
        }
        worst.times = times;
    }
}

/// Everybody is known: who is nearest?
fn closed_set(
    faces: &Faces,
    people: &Labels,
    split: &Split,
    components: &[usize],
    usual: usize,
    options: &EvaluateOptions,
    tally: &mut Tally,
) -> Result<()> {
    let person = |face: usize| people.classes[face];
    let most = components[components.len() - 1];
    let matched = Matched::fit(faces, &split.known, &split.probes, most, options.drop_leading)?;
    let share = |right: usize| right as f64 / split.probes.len() as f64;
    let is_right = |probe: usize, distances: ArrayView1<'_, f64>| {
        let (nearest, _) = nearest_where(distances, |_| true).expect("some face is known");
        person(split.known[nearest]) == person(split.probes[probe])
    };

    let mut right = 0;
    matched.visit_pixels(|probe, distances| right += usize::from(is_right(probe, distances)));
    tally.pixels.push(share(right));
    for (place, &k) in components.iter().enumerate() {
        tally.explained[place].push(matched.pca.explained_variance_ratio.iter().take(k).sum());
        for distance in Distance::ALL {
            let mut right = 0;
            matched.visit_weights(distance, k, |probe, distances| {
                right += usize::from(is_right(probe, distances));
            });
            tally.by_distance[place][distance as usize].push(share(right));
        }
    }

    split.probes.iter().for_each(|&probe| tally.tries[probe] += 1);
    matched.visit_weights(Distance::L2, usual, |probe, distances| {
        let (nearest, distance) = nearest_where(distances, |_| true).expect("some face is known");
        let (probe, taken_for) = (split.probes[probe], split.known[nearest]);
        let is_own = |known: usize| person(split.known[known]) == person(probe);
        let (own, own_distance) = nearest_where(distances, is_own).expect("everybody is known");
        if person(taken_for) != person(probe) {
            let own = split.known[own];
            tally.add_mistake(Mistake {
                probe,
                taken_for,
                own,
                distance,
                own_distance,
                times: 0,
                tries: 0,
            });
        }
    });
    Ok(())
}

/// Half of the persons are strangers: who is accepted?
fn open_set(
    faces: &Faces,
    people: &Labels,
    split: &Split,
    usual: usize,
    options: &EvaluateOptions,
    tally: &mut Tally,
) -> Result<()> {
    let person = |face: usize| people.classes[face];
    let is_stranger = |face: &usize| split.stranger[&person(*face)];
    let known: Vec<usize> = split.known.iter().copied().filter(|f| !is_stranger(f)).collect();
    let own = split.probes.iter().copied().filter(|f| !is_stranger(f));
    let probes: Vec<usize> = own.chain((0..faces.count()).filter(is_stranger)).collect();
    let matched = Matched::fit(faces, &known, &probes, usual, options.drop_leading)?;

    for open in &mut tally.open_set {
        let (mut right, mut tries, mut strange) = (Vec::new(), 0, Vec::new());
        let mut note = |probe: usize, distances: ArrayView1<'_, f64>| {
            let (nearest, distance) = nearest_where(distances, |_| true).expect("some are known");
            if is_stranger(&probes[probe]) {
                strange.push(distance);
            } else {
                tries += 1;
                if person(known[nearest]) == person(probes[probe]) {
                    right.push(distance);
                }
            }
        };
        match open.matcher {
            Matcher::Pixels => matched.visit_pixels(&mut note),
            Matcher::Weights(distance) => matched.visit_weights(distance, usual, &mut note),
        }
        open.add(right, tries, strange);
    }
    Ok(())
}

/// Known pictures and probes, as pixels and as weights.
struct Matched {
    pca: Pca,
    drop_leading: usize,
    known: Projection,
    probes: Projection,
    known_pixels: Array2<f64>,
    probe_pixels: Array2<f32>,
}

impl Matched {
    fn fit(
        faces: &Faces,
        known: &[usize],
        probes: &[usize],
        components: usize,
        drop_leading: usize,
    ) -> Result<Self> {
        let (known_pixels, probe_pixels) = (faces.select(known), faces.select(probes));
        let most = known_pixels.nrows().min(known_pixels.ncols());
        let pca = fit(known_pixels.view(), Components::Count(components.min(most)))?;
        check_drop_leading(drop_leading, pca.components.nrows(), known.len())?;
        Ok(Self {
            drop_leading,
            known: project(&pca, known_pixels.view()),
            probes: project(&pca, probe_pixels.view()),
            known_pixels: centred(known_pixels.view(), &pca.mean),
            pca,
            probe_pixels,
        })
    }

    /// Hands out the distances of each probe to all known faces, on raw pixels.
    fn visit_pixels(&self, mut visit: impl FnMut(usize, ArrayView1<'_, f64>)) {
        for (block, rows) in self.probe_pixels.axis_chunks_iter(Axis(0), BLOCK).enumerate() {
            let rows: Array2<f64> = centred(rows, &self.pca.mean);
            let distances = euclidean(rows.view(), self.known_pixels.view());
            for (row, distances) in distances.rows().into_iter().enumerate() {
                visit(block * BLOCK + row, distances);
            }
        }
    }

    /// The same on weights `drop_leading .. components`.
    fn visit_weights(
        &self,
        distance: Distance,
        components: usize,
        visit: impl FnMut(usize, ArrayView1<'_, f64>),
    ) {
        let end = components.min(self.pca.components.nrows());
        let range = self.drop_leading..end;
        let compared = |weights: &Array2<f64>| weights.slice(s![.., range.clone()]).to_owned();
        let (known, probes) = (compared(&self.known.weights), compared(&self.probes.weights));
        let variances = self.pca.explained_variance.slice(s![range.clone()]);
        distance.visit(probes.view(), known.view(), variances, visit);
    }
}

impl Matcher {
    const ALL: [Matcher; 4] = [
        Matcher::Pixels,
        Matcher::Weights(Distance::L2),
        Matcher::Weights(Distance::Cosine),
        Matcher::Weights(Distance::Mahalanobis),
    ];
}

impl Matcher {
    /// Its name in a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pixels => "raw pixels",
            Self::Weights(distance) => distance.label(),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels => out.write_str("pixels"),
            Self::Weights(distance) => distance.fmt(out),
        }
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

/// Open-set results of the splits so far.
struct Open {
    matcher: Matcher,
    equal_error: Vec<f64>,
    /// Sum of the curves, `CURVE_STEPS + 1` correct-accept rates.
    curve: Vec<f64>,
}

impl Open {
    fn new(matcher: Matcher) -> Self {
        Self { matcher, equal_error: Vec::new(), curve: vec![0.0; CURVE_STEPS + 1] }
    }

    /// `right`: distances of known persons' probes that are nearest to the right person, of
    /// `tries` probes; `strange`: distances of strangers.
    fn add(&mut self, mut right: Vec<f64>, tries: usize, mut strange: Vec<f64>) {
        right.sort_unstable_by(f64::total_cmp);
        strange.sort_unstable_by(f64::total_cmp);
        self.equal_error.push(equal_error_rate(&right, tries, &strange));
        for (step, sum) in self.curve.iter_mut().enumerate() {
            let accepted = step * strange.len() / CURVE_STEPS;
            let below = strange.get(accepted).copied().unwrap_or(f64::INFINITY);
            *sum += count_below(&right, below) as f64 / tries as f64;
        }
    }

    fn summary(self) -> OpenSet {
        let splits = self.equal_error.len() as f64;
        let point = |(step, sum): (usize, f64)| RocPoint {
            false_accept_rate: step as f64 / CURVE_STEPS as f64,
            correct_accept_rate: sum / splits,
        };
        OpenSet {
            matcher: self.matcher,
            equal_error_rate: Rate::of(&self.equal_error),
            curve: self.curve.into_iter().enumerate().map(point).collect(),
        }
    }
}

/// The mean of the two error rates at the threshold where they are nearest to each other.
fn equal_error_rate(right: &[f64], tries: usize, strange: &[f64]) -> f64 {
    let thresholds = right.iter().chain(strange).copied().chain([f64::INFINITY]);
    let errors = thresholds.map(|below| {
        let false_accept = count_below(strange, below) as f64 / strange.len() as f64;
        let miss = 1.0 - count_below(right, below) as f64 / tries as f64;
        ((false_accept - miss).abs(), (false_accept + miss) / 2.0)
    });
    errors.fold((f64::INFINITY, 1.0), |best, next| if next.0 < best.0 { next } else { best }).1
}

/// How many of the sorted values are strictly below.
fn count_below(sorted: &[f64], below: f64) -> usize {
    sorted.partition_point(|value| *value < below)
}

impl Rate {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, sd: if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() } }
    }
}

fn worst_first(mistakes: BTreeMap<usize, Mistake>, tries: &[usize]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> =
        mistakes.into_values().map(|m| Mistake { tries: tries[m.probe], ..m }).collect();
    mistakes.sort_by(|a, b| b.margin().total_cmp(&a.margin()));
    mistakes
}

/// The pictures of each person, or the persons who have too few.
fn pictures_by_person(
    people: &Labels,
    train_per_person: usize,
) -> Result<BTreeMap<usize, Vec<usize>>> {
    let operation = "evaluate recognition";
    if train_per_person == 0 {
        return Err(Error::mistake(
            operation,
            "at least 1 known picture per person",
            "0",
            "give `--train-per-person 1` or more",
        ));
    }
    let mut by_person = BTreeMap::<usize, Vec<usize>>::new();
    for (face, &person) in people.classes.iter().enumerate() {
        by_person.entry(person).or_default().push(face);
    }
    let short = by_person.iter().filter(|(_, pictures)| pictures.len() <= train_per_person);
    let short: Vec<String> = short
        .map(|(&person, pictures)| format!("{} has {}", people.names[person], pictures.len()))
        .collect();
    if !short.is_empty() {
        const NAMED: usize = 5;
        let more = short.len().saturating_sub(NAMED);
        let more =
            if more > 0 { format!(" and {more} more persons have too few") } else { String::new() };
        return Err(Error::mistake(
            operation,
            format!("more than {train_per_person} pictures of every person"),
            format!("{}{more}", short[..short.len().min(NAMED)].join(", ")),
            "lower `--train-per-person`, add pictures, or leave these persons out",
        ));
    }
    if by_person.len() < 4 {
        return Err(Error::mistake(
            operation,
            "at least 4 persons, half of whom play strangers",
            by_person.len().to_string(),
            "add persons",
        ));
    }
    Ok(by_person)
}

/// The numbers of eigenfaces that can be had, in rising order.
fn components_to_try(
    faces: &Faces,
    persons: usize,
    options: &EvaluateOptions,
) -> Result<Vec<usize>> {
    let operation = "evaluate recognition";
    if options.splits == 0 {
        return Err(Error::mistake(operation, "at least 1 split", "0", "give `--splits 20`"));
    }
    let known = persons * options.train_per_person;
    let most = (known - 1).min(faces.pixels.ncols());
    let mut components: Vec<usize> = options.components.iter().map(|&k| k.min(most)).collect();
    components.sort_unstable();
    components.dedup();
    match components.first() {
        None | Some(0) => Err(Error::mistake(
            operation,
            format!("numbers of eigenfaces from 1 to {most}"),
            format!("{:?}", options.components),
            "give `--components 10,20,40`",
        )),
        Some(&fewest) => {
            check_drop_leading(options.drop_leading, fewest, known).map(|()| components)
        }
    }
}

/// At least one eigenface has to be left to compare.
fn check_drop_leading(drop_leading: usize, eigenfaces: usize, pictures: usize) -> Result<()> {
    if drop_leading < eigenfaces {
        return Ok(());
    }
    Err(Error::mistake(
        "leave out leading eigenfaces",
        format!("fewer than the {eigenfaces} compared where {pictures} pictures are known"),
        drop_leading.to_string(),
        "leave out fewer, or raise `--components` or `--train-per-person`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At a threshold of 4.5 one of four strangers is accepted and three of four known persons.
    #[test]
    fn errors_are_equal_where_they_cross() {
        let (right, strange) = ([1.0, 2.0, 4.0], [3.0, 5.0, 6.0, 7.0]);
        assert_eq!(equal_error_rate(&right, 4, &strange), 0.25);
        assert_eq!(equal_error_rate(&[1.0, 2.0], 2, &[3.0]), 0.0);
        assert_eq!(equal_error_rate(&[2.0], 1, &[1.0]), 1.0);
        // Nobody is ever found: all strangers or nobody is accepted, half way is a coin toss.
        assert_eq!(equal_error_rate(&[], 2, &[1.0, 2.0]), 1.0);
    }

    #[test]
    fn the_curve_counts_acceptances() {
        let mut open = Open::new(Matcher::Pixels);
        open.add(vec![4.0, 1.0, 2.0], 4, vec![7.0, 3.0, 6.0, 5.0]);
        let curve = open.summary().curve;
        let at = |rate: f64| curve[(rate * CURVE_STEPS as f64) as usize];
        assert_eq!(curve.len(), CURVE_STEPS + 1);
        assert_eq!((at(0.0).false_accept_rate, at(0.0).correct_accept_rate), (0.0, 0.5));
        assert_eq!(at(0.2).correct_accept_rate, 0.5);
        assert_eq!(at(0.25).correct_accept_rate, 0.75);
        assert_eq!(at(1.0).correct_accept_rate, 0.75);
    }

    #[test]
    fn a_rate_is_mean_and_standard_deviation() {
        assert_eq!(Rate::of(&[0.5, 0.75, 1.0]), Rate { mean: 0.75, sd: 0.25 });
        assert_eq!(Rate::of(&[0.5]), Rate { mean: 0.5, sd: 0.0 });
    }

    #[test]
    fn a_split_uses_every_picture_once_and_makes_half_the_persons_strangers() {
        let by_person: BTreeMap<usize, Vec<usize>> =
            (0..7).map(|person| (person, (person * 6..person * 6 + 6).collect())).collect();
        let options = EvaluateOptions { train_per_person: 2, ..Default::default() };
        let split = Split::draw(&by_person, &options, 0);
        let mut all = [split.known.clone(), split.probes.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..42));
        assert!((0..7).all(|p| split.known.iter().filter(|f| **f / 6 == p).count() == 2));
        assert_eq!(split.stranger.values().filter(|stranger| **stranger).count(), 3);
        assert_ne!(Split::draw(&by_person, &options, 1).known, split.known);
    }
}
