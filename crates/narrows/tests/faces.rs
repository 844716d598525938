//! Faces end to end: what is trained, found, added and measured.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::data::{ImageShape, Labels};
use narrows::faces::{Distance, EvaluateOptions, FaceOptions, FaceSpace, Faces, Verdict, evaluate};
use narrows::model::pca::Components;
use narrows::random::Random;
use ndarray::{Array2, Axis, array, concatenate, s};

const SIDE: usize = 24;

/// Persons are smooth random pictures, their faces the same picture with a little of others in it.
fn made_up(persons: usize, each: usize, seed: u64) -> Faces {
    let mut random = Random::stream(seed, "made-up faces");
    let mut wave = |scale: f64| {
        let (fx, fy) = (random.between(0.1, 0.7), random.between(0.1, 0.7));
        let (phase, height) = (random.between(0.0, 6.3), scale * random.normal());
        move |x: usize, y: usize| height * (fx * x as f64 + fy * y as f64 + phase).sin()
    };
    let mut pixels = Array2::zeros((persons * each, SIDE * SIDE));
    for person in 0..persons {
        let own = [wave(0.1), wave(0.1), wave(0.1), wave(0.1)];
        for face in 0..each {
            let other = [wave(0.03), wave(0.03)];
            let mut row = pixels.row_mut(person * each + face);
            for (place, value) in row.iter_mut().enumerate() {
                let (y, x) = (place / SIDE, place % SIDE);
                let sum: f64 = own.iter().map(|w| w(x, y)).sum::<f64>()
                    + other.iter().map(|w| w(x, y)).sum::<f64>();
                *value = (0.5 + sum) as f32;
            }
        }
    }
    Faces {
        pixels,
        image: ImageShape { height: SIDE, width: SIDE, channels: 1 },
        people: Some(Labels {
            classes: (0..persons * each).map(|face| face / each).collect(),
            names: (1..=persons).map(|person| format!("person {person}")).collect(),
        }),
        files: Vec::new(),
    }
}

fn space(faces: &Faces, k: usize) -> FaceSpace {
    let options = FaceOptions { components: Components::Count(k), ..Default::default() };
    FaceSpace::train(faces, &options).unwrap()
}

/// Three persons on a line in the plane: everything can be worked out by hand.
#[test]
fn three_persons_in_the_plane() {
    let names = ["Ada", "Emmy", "Sofia"].map(String::from);
    let faces = Faces {
        pixels: array![[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0], [10.0, 0.0], [10.0, 2.0]],
        image: ImageShape { height: 1, width: 2, channels: 1 },
        people: Some(Labels { classes: vec![0, 0, 1, 1, 2, 2], names: names.into() }),
        files: Vec::new(),
    };
    let options = FaceOptions {
        components: Components::Count(1),
        false_accept_rate: 0.2,
        ..Default::default()
    };
    let space = FaceSpace::train(&faces, &options).unwrap();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    near(space.pca.mean[0], 14.0 / 3.0);
    near(space.pca.mean[1], 1.0);
    assert!((&space.pca.components - &array![[1.0, 0.0]]).iter().all(|v| v.abs() < 1e-12));
    let variance = 912.0 / 9.0 / 5.0;
    near(space.pca.explained_variance[0], variance);
    let projection = space.project(array![[3.5, 4.0]].view()).unwrap();
    near(projection.weights[[0, 0]], 3.5 - 14.0 / 3.0);
    near(projection.from_face_space[0], 3.0);

    // Left out, Ada and Emmy are 4 from each other and Sofia is 6 from Emmy.
    let expected = [4.0, 4.0, 4.0, 4.0, 6.0, 6.0];
    space.gallery.as_stranger.column(0).iter().zip(expected).for_each(|(a, b)| near(*a, b));
    let threshold = space.thresholds(Distance::L2).identify;
    near(threshold.accept_below, 4.0);
    assert_eq!(threshold.false_reject_rate, Some(0.0));
    near(space.face_threshold.accept_up_to, 1.0);
    let found = space.identify(array![[3.5, 1.0], [15.0, 1.0]].view(), Distance::L2).unwrap();
    assert_eq!((found[0].verdict, found[0].person), (Verdict::Known, 1));
    near(found[0].distance, 0.5);
    near(found[0].margin, 3.0);
    assert_eq!((found[1].verdict, found[1].person), (Verdict::Unknown, 2));
    let whitened = &space.identify(array![[3.5, 1.0]].view(), Distance::Mahalanobis).unwrap()[0];
    near(whitened.distance, 0.5 / variance.sqrt());
}

#[test]
fn what_lies_far_from_face_space_is_not_a_face() {
    let faces = made_up(12, 6, 1);
    let space = space(&faces, 20);
    let mut random = Random::stream(2, "noise");
    let noise = Array2::from_shape_fn((5, SIDE * SIDE), |_| random.uniform() as f32);
    for found in space.identify(noise.view(), Distance::L2).unwrap() {
        assert_eq!(found.verdict, Verdict::NotAFace);
    }
    let verified = space.verify(faces.pixels.row(0), noise.row(0), Distance::Cosine).unwrap();
    assert_eq!((verified.same, verified.is_face), (false, [true, false]));
    let verified = space.verify(faces.pixels.row(0), faces.pixels.row(1), Distance::L2).unwrap();
    assert!(verified.same, "{verified:?}");
    let verified = space.verify(faces.pixels.row(0), faces.pixels.row(6), Distance::L2).unwrap();
    assert!(!verified.same, "{verified:?}");
}

/// New faces of the persons that are known, and of persons that are not, are called not a face
/// rarely.
#[test]
fn faces_of_strangers_are_faces() {
    let (known, strangers) = (made_up(40, 5, 1), made_up(200, 1, 99));
    let space = space(&known, 30);
    let found = space.identify(strangers.pixels.view(), Distance::L2).unwrap();
    let rejected = found.iter().filter(|found| found.verdict == Verdict::NotAFace).count();
    // Wanted is 1 %: 2 of 200.
    assert!(rejected <= 8, "{rejected} of 200");
}

/// Strangers drawn like the known persons are accepted as often as was wanted, whatever the
/// distance, although the eigenfaces hold them less well than the known persons.
#[test]
fn made_up_strangers_are_accepted_as_often_as_wanted() {
    let wanted = 0.1;
    let mut rates = [0.0; 3];
    let galleries = 20;
    for gallery in 0..galleries {
        let (known, strangers) = (made_up(40, 3, gallery), made_up(100, 1, 1000 + gallery));
        let options = FaceOptions {
            components: Components::Count(20),
            false_accept_rate: wanted,
            ..Default::default()
        };
        let space = FaceSpace::train(&known, &options).unwrap();
        for distance in Distance::ALL {
            let threshold = space.thresholds(distance).identify;
            let found = space.identify(strangers.pixels.view(), distance).unwrap();
            let accepted = found.iter().filter(|found| threshold.accepts(found.distance)).count();
            rates[distance as usize] += accepted as f64 / (100 * galleries) as f64;
        }
    }
    // 2,000 strangers against 20 thresholds of 40 persons each: the standard error is about 0.013.
    println!("{rates:.3?}");
    assert!(rates.iter().all(|rate| (rate - wanted).abs() < 0.04), "{rates:?}");
}

#[test]
fn a_rebuilt_face_converges() {
    let faces = made_up(10, 4, 3);
    let options = FaceOptions::default();
    let space = FaceSpace::train(&faces, &options).unwrap();
    let face = faces.pixels.row(7).mapv(f64::from);
    let weights = space.gallery.weights.row(7);
    let errors: Vec<f64> = (0..=weights.len())
        .map(|k| {
            let rest = space.rebuild(weights.slice(s![..k])) - &face;
            rest.dot(&rest).sqrt()
        })
        .collect();
    assert!(errors.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
    let all = errors[weights.len()];
    assert!(all < 1e-6 * errors[0], "{all} of {}", errors[0]);
    // Pythagoras, as the distance from face space is computed, against the rebuilt face.
    assert!((space.gallery.from_face_space[7] - all).abs() < 1e-6);
    let half = Components::Count(12);
    let space = FaceSpace::train(&faces, &FaceOptions { components: half, ..options }).unwrap();
    assert!((space.gallery.from_face_space[7] - errors[12]).abs() < 1e-9);
}

#[test]
fn an_added_face_is_kept_as_if_it_had_been_there() {
    let faces = made_up(12, 5, 4);
    let mut space = space(&faces, 15);
    let before = space.clone();
    let new = made_up(3, 1, 99).pixels;
    let files = ["a.png".to_owned(), "b.png".to_owned()];
    space.add("new person", new.slice(s![..2, ..]), &files).unwrap();
    space.add("person 1", new.slice(s![2.., ..]), &files[..1]).unwrap();

    assert_eq!(space.pca, before.pca);
    assert_eq!(space.gallery.persons.len(), 13);
    let persons: Vec<usize> = space.gallery.faces[60..].iter().map(|face| face.person).collect();
    assert_eq!(persons, [12, 12, 0]);
    let gap = &space.gallery.weights.slice(s![60..62, ..])
        - &before.project(new.slice(s![..2, ..])).unwrap().weights;
    assert!(gap.iter().all(|v| v.abs() < 1e-12));
    assert_eq!(space.thresholds(Distance::L2).identify.impostors, 63);
    for (now, then) in space.thresholds.iter().zip(&before.thresholds) {
        assert_eq!(now.verify, then.verify);
    }
    assert_eq!(space.face_threshold, before.face_threshold);
    let other = made_up(1, 1, 77).pixels;
    assert!(space.add("x", new.slice(s![..2, ..]), &files[..1]).is_err());
    assert!(space.add("x", Array2::zeros((1, 9)).view(), &files[..1]).is_err());
    for name in ["", " ", "a/b", "a\nb"] {
        let error = space.add(name, other.view(), &files[..1]).unwrap_err();
        assert!(error.to_string().contains("a name without `/`"), "{error}");
    }
    let grown = space.clone();
    let twice = concatenate![Axis(0), other, other];
    for (pictures, same_as) in
        [(faces.pixels.slice(s![..1, ..]), &space.gallery.faces[0].file), (twice.view(), &files[0])]
    {
        let error = space.clone().add("x", pictures, &files[..pictures.nrows()]).unwrap_err();
        let expected = format!("the same picture as '{same_as}'");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    assert_eq!(space, grown);
}

/// Whoever has the same picture under two names is not called by either.
#[test]
fn a_face_as_near_to_two_persons_has_no_name() {
    let mut faces = made_up(12, 5, 4);
    let shared = faces.pixels.row(0).to_owned();
    faces.pixels.row_mut(57).assign(&shared);
    let space = space(&faces, 15);
    for distance in Distance::ALL {
        let found = space.identify(faces.pixels.slice(s![..2, ..]), distance).unwrap();
        assert_eq!(found[0].verdict, Verdict::Ambiguous, "{distance}");
        assert!(found[0].margin < 1e-5, "{distance} {}", found[0].margin);
        assert_eq!((found[1].verdict, found[1].person), (Verdict::Known, 0), "{distance}");
    }
}

#[test]
fn a_face_space_reads_back() {
    let faces = made_up(12, 5, 4);
    let space = space(&faces, 15);
    let folder = tempfile::tempdir().unwrap();
    space.write_into(folder.path()).unwrap();
    let read = FaceSpace::open(folder.path()).unwrap();
    assert_eq!(read.pca.components, space.pca.components);
    assert_eq!((&read.gallery, &read.options), (&space.gallery, &space.options));
    assert_eq!(read.face_threshold.accept_up_to, space.face_threshold.accept_up_to);
    let probes = made_up(3, 2, 77);
    for distance in Distance::ALL {
        let found = |space: &FaceSpace| space.identify(probes.pixels.view(), distance).unwrap();
        assert_eq!(found(&read), found(&space));
        let (a, b) = (read.thresholds(distance), space.thresholds(distance));
        assert_eq!(a.identify.accept_below, b.identify.accept_below);
        assert_eq!(a.verify.accept_below, b.verify.accept_below);
    }

    let gallery = folder.path().join("gallery.json");
    let text = std::fs::read_to_string(&gallery).unwrap();
    std::fs::write(&gallery, text.replacen("\"person\": 0", "\"person\": 99", 1)).unwrap();
    let message = |folder: &Path| FaceSpace::open(folder).unwrap_err().to_string();
    assert!(message(folder.path()).contains("of person 99 of 12"));
    std::fs::write(&gallery, &text[..text.len() / 2]).unwrap();
    assert!(message(folder.path()).contains("gallery.json"));
    let weights = folder.path().join("weights.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&gallery, &text).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 9]).unwrap();
    assert!(message(folder.path()).contains("weights.safetensors"));
    std::fs::write(folder.path().join("config.json"), "{\"kind\": \"network\"}").unwrap();
    assert!(message(folder.path()).contains("another kind of run"));
    assert!(message(&folder.path().join("none")).contains("which does not exist"));
}

#[test]
fn leading_eigenfaces_can_be_left_out_of_distances() {
    let faces = made_up(12, 5, 4);
    let options =
        FaceOptions { components: Components::Count(9), drop_leading: 3, ..Default::default() };
    let dropped = FaceSpace::train(&faces, &options).unwrap();
    let whole = space(&faces, 9);
    let probe = faces.pixels.slice(s![..1, ..]).mapv(|v| v + 0.01);
    let (a, b) =
        (dropped.identify(probe.view(), Distance::L2), whole.identify(probe.view(), Distance::L2));
    let (a, b) = (a.unwrap()[0], b.unwrap()[0]);
    assert_eq!(a.from_face_space, b.from_face_space);
    let weights = dropped.project(probe.view()).unwrap().weights;
    let gap = &weights.row(0).slice(s![3..]) - &dropped.gallery.weights.row(a.face).slice(s![3..]);
    assert!((a.distance - gap.dot(&gap).sqrt()).abs() < 1e-9);
    let options = FaceOptions { drop_leading: 9, ..options };
    assert!(
        FaceSpace::train(&faces, &options).unwrap_err().to_string().contains("fewer than the 9")
    );
}

#[test]
fn evaluation_repeats_on_any_number_of_threads() {
    let faces = made_up(9, 6, 5);
    let options = EvaluateOptions { splits: 3, train_per_person: 3, ..Default::default() };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (evaluate(&faces, &options).unwrap(), space(&faces, 12)))
    };
    let one = with(1);
    assert_eq!(one.0.options.components, [10, 20, 26]);
    assert!(one == with(2) && one == with(7));
    let other = evaluate(&faces, &EvaluateOptions { seed: 1, ..options }).unwrap();
    assert_ne!(other.open_set, one.0.open_set);
}

/// With as many eigenfaces as the known faces span, L2 on weights orders known faces as raw pixels
/// do: what lies outside face space is the same for all of them.
#[test]
fn all_eigenfaces_recognise_as_raw_pixels_do() {
    let faces = made_up(20, 6, 8);
    let options = EvaluateOptions { splits: 5, train_per_person: 3, ..Default::default() };
    let found = evaluate(&faces, &options).unwrap();
    assert_eq!(found.rates.last().unwrap().l2, found.pixels);
    assert!(found.pixels.mean > 0.5 && found.pixels.mean < 1.0, "{:?}", found.pixels);
    for mistake in &found.mistakes {
        assert!(mistake.times >= 1 && mistake.times <= mistake.tries && mistake.tries <= 5);
        assert!(mistake.margin() >= 0.0);
        let person = |face: usize| face / 6;
        assert_eq!(person(mistake.probe), person(mistake.own));
        assert_ne!(person(mistake.probe), person(mistake.taken_for));
    }
    assert!(found.open_set[0].equal_error_rate.mean < 0.5);
    for open in &found.open_set {
        let rates: Vec<f64> = open.curve.iter().map(|point| point.correct_accept_rate).collect();
        assert!(rates.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

#[test]
fn mistakes_are_told() {
    let faces = made_up(6, 4, 6);
    let message = |options: EvaluateOptions| evaluate(&faces, &options).unwrap_err().to_string();
    let options = EvaluateOptions { train_per_person: 4, ..Default::default() };
    assert!(message(options).contains("person 1 has 4, person 2 has 4"));
    assert!(
        message(EvaluateOptions { splits: 0, train_per_person: 2, ..Default::default() })
            .contains("1 split")
    );
    let options = EvaluateOptions { train_per_person: 2, drop_leading: 10, ..Default::default() };
    assert!(message(options).contains("fewer than the 10"));

    let train = |faces: &Faces, options: FaceOptions| {
        FaceSpace::train(faces, &options).unwrap_err().to_string()
    };
    let nameless = Faces { people: None, ..faces.clone() };
    assert!(train(&nameless, FaceOptions::default()).contains("one sub-folder per person"));
    let rate = FaceOptions { false_accept_rate: 0.01, ..Default::default() };
    assert!(train(&faces, rate).contains("at least 0.04,"));
    let alone = Faces {
        people: Some(Labels { classes: vec![0; 24], names: vec!["one".into()] }),
        ..faces.clone()
    };
    assert!(train(&alone, FaceOptions::default()).contains("at least 2 persons"));
    let space = space(&faces, 5);
    let error = space.identify(Array2::zeros((1, 100)).view(), Distance::L2).unwrap_err();
    assert!(
        error.to_string().contains("pictures of 576 numbers (24 × 24, 1 per pixel)"),
        "{error}"
    );
}

/// The AT&T faces, 20 random halves: eigenfaces recognise as well as raw pixels do, whitening harms.
#[test]
fn the_orl_faces_are_recognised_as_often_as_is_known() {
    let Ok(data) = std::env::var("NARROWS_DATA") else {
        println!("skipped: NARROWS_DATA is not set");
        return;
    };
    let faces = orl(&Path::new(&data).join("orl-faces"));
    let start = std::time::Instant::now();
    let found = evaluate(&faces, &EvaluateOptions::default()).unwrap();
    println!("{:?} {:#?}", start.elapsed(), found.rates);
    println!("pixels {:?} open set at {}", found.pixels, found.open_set_components);
    for open in &found.open_set {
        println!("{} {:?} {:?}", open.matcher, open.equal_error_rate, open.curve[10]);
    }
    let at = |k| found.rates.iter().find(|rates| rates.components == k).unwrap();
    let near = |what: &str, got: f64, expected: f64, band: f64| {
        assert!((100.0 * got - expected).abs() <= band, "{what}: {got} against {expected}");
    };
    near("L2, 40 eigenfaces", at(40).l2.mean, 93.7, 1.0);
    near("cosine, 40 eigenfaces", at(40).cosine.mean, 94.3, 1.0);
    near("raw pixels", found.pixels.mean, 93.9, 1.0);
    near("L2, 20 eigenfaces", at(20).l2.mean, 92.2, 1.0);
    near("cosine, 20 eigenfaces", at(20).cosine.mean, 92.9, 1.0);
    near("Mahalanobis, 40 eigenfaces", at(40).mahalanobis.mean, 89.8, 1.0);
    near("Mahalanobis, 80 eigenfaces", at(80).mahalanobis.mean, 82.95, 1.0);
    assert_eq!(at(199).l2, found.pixels);
}

/// Half of the AT&T persons are known, the others come by: as many are let in as was wanted.
#[test]
fn the_false_accept_rate_of_strangers_is_the_wanted_one() {
    let Ok(data) = std::env::var("NARROWS_DATA") else {
        println!("skipped: NARROWS_DATA is not set");
        return;
    };
    let faces = orl(&Path::new(&data).join("orl-faces"));
    let wanted = 0.1;
    let mut accepted = [Vec::new(), Vec::new(), Vec::new()];
    for split in 0..6 {
        let order = Random::stream(split, "halves").permutation(40);
        let (known, strangers) =
            (persons_of(&faces, &order[..20]), persons_of(&faces, &order[20..]));
        let options = FaceOptions {
            components: Components::Count(40),
            false_accept_rate: wanted,
            ..Default::default()
        };
        let space = FaceSpace::train(&known, &options).unwrap();
        for distance in Distance::ALL {
            let found = space.identify(strangers.pixels.view(), distance).unwrap();
            let threshold = space.thresholds(distance).identify;
            let let_in = found.iter().filter(|found| threshold.accepts(found.distance)).count();
            accepted[distance as usize].push(let_in as f64 / found.len() as f64);
        }
    }
    for (distance, rates) in Distance::ALL.into_iter().zip(accepted) {
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        println!("{distance}: {mean:.3} of strangers accepted, {rates:.3?}");
        assert!((mean - wanted).abs() < 0.05, "{distance}: {mean}");
    }
}

fn persons_of(faces: &Faces, persons: &[usize]) -> Faces {
    let rows: Vec<usize> =
        persons.iter().flat_map(|person| person * 10..person * 10 + 10).collect();
    Faces {
        pixels: faces.pixels.select(Axis(0), &rows),
        people: Some(Labels {
            classes: (0..rows.len()).map(|row| row / 10).collect(),
            names: persons.iter().map(|person| format!("s{}", person + 1)).collect(),
        }),
        ..faces.clone()
    }
}

fn orl(folder: &Path) -> Faces {
    let image = ImageShape { height: 112, width: 92, channels: 1 };
    let mut pixels = Array2::zeros((0, 112 * 92));
    for person in 1..=40 {
        for picture in 1..=10 {
            let path = folder.join(format!("s{person}/{picture}.pgm"));
            let grey = image::open(path).unwrap().into_luma8().into_raw();
            let row: Vec<f32> = grey.into_iter().map(|value| f32::from(value) / 255.0).collect();
            pixels.push(Axis(0), ndarray::ArrayView1::from(&row)).unwrap();
        }
    }
    Faces {
        pixels,
        image,
        people: Some(Labels {
            classes: (0..400).map(|face| face / 10).collect(),
            names: (1..=40).map(|person| format!("s{person}")).collect(),
        }),
        files: Vec::new(),
    }
}

/// Everybody known: 4 persons, 2 pictures each, 7 eigenfaces. Half of them strangers: 3 eigenfaces.
#[test]
fn eigenfaces_left_out_must_leave_some_where_strangers_are_tried() {
    let faces = made_up(4, 3, 5);
    let with = |drop_leading| {
        let components = vec![usize::MAX];
        let options = EvaluateOptions {
            splits: 2,
            train_per_person: 2,
            components,
            drop_leading,
            ..Default::default()
        };
        evaluate(&faces, &options)
    };
    assert!(with(2).is_ok());
    for drop_leading in [3, 6] {
        let message = with(drop_leading).unwrap_err().to_string();
        assert!(message.contains("fewer than the 3 compared where 4 pictures"), "{message}");
    }
    let message = with(7).unwrap_err().to_string();
    assert!(message.contains("fewer than the 7 compared where 8 pictures"), "{message}");
}
