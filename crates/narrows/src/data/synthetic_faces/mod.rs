//! Pictures of people who do not exist, with every cause of variation known.
//!
//! Each person is a head whose shape and colouring are drawn once (`head`, `paint`); each
//! picture turns that head, moves its face and lights it (`render`). Four separate knobs say how
//! much people differ, and how much light, pose and expression differ between the pictures of one
//! person, so that a method can be shown what it copes with and what it does not.

mod head;
mod paint;
mod render;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::random::Random;
use head::Person;

/// Pixels of all pictures together at most.
const MOST_PIXELS: u64 = 1 << 30;

/// How many faces to make and how much may vary between them.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceKnobs {
    /// Number of people.
    pub people: usize,
    /// Pictures of each of them.
    pub images_per_person: usize,
    /// Height and width of a picture in pixels, 16 to 256.
    pub size: usize,
    /// Range of the direction of light in radians: azimuth ±1, elevation ±0.4 times this. 0 to 1.5.
    pub lighting: f64,
    /// Range of the turn of the head in radians: yaw ±1, pitch ±0.5 times this. 0 to 0.8.
    pub pose: f64,
    /// Range of smile, open mouth and raised brows. 0 to 1.
    pub expression: f64,
    /// How much people differ from the average person, 0 to 1.5; 1 is a natural spread.
    pub identity: f64,
    /// The seed of all draws.
    pub seed: u64,
}

impl Default for FaceKnobs {
    fn default() -> Self {
        Self {
            people: 20,
            images_per_person: 10,
            size: 64,
            lighting: 0.5,
            pose: 0.15,
            expression: 0.6,
            identity: 1.0,
            seed: 0,
        }
    }
}

/// What a picture shows: the right answer that a method may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FaceTruth {
    /// Index of the person.
    pub person: usize,
    /// Direction of the light to the viewer's right, radians.
    pub azimuth: f64,
    /// Direction of the light upwards, radians.
    pub elevation: f64,
    /// Turn of the head to the viewer's right, radians.
    pub yaw: f64,
    /// Turn of the head upwards, radians.
    pub pitch: f64,
    /// Corners of the mouth: −1 down, 0 straight, 1 up.
    pub smile: f64,
    /// Mouth: 0 closed, 1 open.
    pub mouth: f64,
    /// Brows: −1 lowered, 1 raised.
    pub brow: f64,
}

/// The pictures and what they show.
#[derive(Debug, Clone, PartialEq)]
pub struct Faces {
    /// Grey pixels, `people · images_per_person` rows of `size · size`, person after person.
    pub pixels: Vec<u8>,
    /// What each picture shows, in the order of the rows.
    pub truth: Vec<FaceTruth>,
}

/// Makes the faces. The same knobs give the same bytes, whatever the number of threads; a knob
/// changes only what it names, so with all of them but `identity` at 0 the pictures of a person are
/// all equal.
///
/// # Errors
/// If a knob is outside its range, or there would be more than 2³⁰ pixels.
pub fn generate(knobs: &FaceKnobs) -> Result<Faces> {
    knobs.check()?;
    let people: Vec<Person> = (0..knobs.people).map(|index| Person::draw(knobs, index)).collect();
    let truth: Vec<FaceTruth> = (0..knobs.people * knobs.images_per_person)
        .map(|image| knobs.draw(image / knobs.images_per_person, image % knobs.images_per_person))
        .collect();
    let mut pixels = vec![0; truth.len() * knobs.size * knobs.size];
    (pixels.par_chunks_exact_mut(knobs.size * knobs.size).zip(&truth))
        .for_each(|(picture, truth)| render::render(&people[truth.person], truth, picture));
    Ok(Faces { pixels, truth })
}

impl FaceKnobs {
    fn check(&self) -> Result<()> {
        let refuse = |knob: &str, range: &str, got: String| {
            let remedy = "choose a value in that range";
            Err(Error::mistake("make faces", format!("{knob} {range}"), got, remedy))
        };
        for (knob, value) in [("people", self.people), ("images", self.images_per_person)] {
            if !(1..=10_000).contains(&value) {
                return refuse(knob, "between 1 and 10000", value.to_string());
            }
        }
        if !(16..=256).contains(&self.size) {
            return refuse("size", "between 16 and 256", self.size.to_string());
        }
        let [people, images, size] = [self.people, self.images_per_person, self.size];
        let pixels = [people, images, size, size].map(|knob| knob as u64).iter().product::<u64>();
        if pixels > MOST_PIXELS {
            return Err(Error::mistake(
                "make faces",
                format!("people · images · size² of at most {MOST_PIXELS} pixels"),
                format!("{people} · {images} · {size}² = {pixels}"),
                "make fewer or smaller pictures",
            ));
        }
        let ranged = [
            ("lighting", self.lighting, 1.5),
            ("pose", self.pose, 0.8),
            ("expression", self.expression, 1.0),
            ("identity", self.identity, 1.5),
        ];
        for (knob, value, most) in ranged {
            if !(0.0..=most).contains(&value) {
                return refuse(knob, &format!("between 0 and {most}"), value.to_string());
            }
        }
        Ok(())
    }

    /// What picture `image` of `person` shows. Every cause has a stream of its own.
    fn draw(&self, person: usize, image: usize) -> FaceTruth {
        let stream = |cause| Random::stream(self.seed, &format!("faces {cause} {person} {image}"));
        let (mut light, mut pose, mut face) =
            (stream("lighting"), stream("pose"), stream("expression"));
        FaceTruth {
            person,
            azimuth: 0.35 + self.lighting * light.between(-1.0, 1.0),
            elevation: 0.45 + 0.4 * self.lighting * light.between(-1.0, 1.0),
            yaw: self.pose * pose.between(-1.0, 1.0),
            pitch: 0.5 * self.pose * pose.between(-1.0, 1.0),
            smile: self.expression * face.between(-0.5, 1.0),
            mouth: self.expression * face.between(-0.7, 1.0).max(0.0),
            brow: self.expression * face.between(-1.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Few people, few pictures, nothing varied.
    fn still() -> FaceKnobs {
        FaceKnobs {
            people: 3,
            images_per_person: 4,
            size: 48,
            lighting: 0.0,
            pose: 0.0,
            expression: 0.0,
            ..FaceKnobs::default()
        }
    }

    fn pictures(knobs: &FaceKnobs) -> Vec<Vec<u8>> {
        let faces = generate(knobs).unwrap();
        faces.pixels.chunks(knobs.size * knobs.size).map(<[u8]>::to_vec).collect()
    }

    /// The average person, shown as `truth` says.
    fn average(truth: &FaceTruth) -> Vec<u8> {
        let mut picture = vec![0; 64 * 64];
        let person = Person::draw(&FaceKnobs { identity: 0.0, ..still() }, 0);
        render::render(&person, truth, &mut picture);
        picture
    }

    fn mirrored(picture: &[u8]) -> Vec<u8> {
        picture.chunks(64).flat_map(|row| row.iter().rev().copied()).collect()
    }

    fn difference(a: &[u8], b: &[u8]) -> f64 {
        let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (squares.sum::<f64>() / a.len() as f64).sqrt()
    }

    #[test]
    fn more_pixels_than_memory_holds_are_refused() {
        let many = FaceKnobs { people: 10_000, images_per_person: 10_000, size: 256, ..still() };
        let message = generate(&many).unwrap_err().to_string();
        assert!(message.contains("at most 1073741824 pixels"), "{message}");
        assert!(message.contains("10000 · 10000 · 256² = 6553600000000"), "{message}");
    }

    #[test]
    fn without_variation_all_pictures_of_a_person_are_equal() {
        let pictures = pictures(&still());
        for image in 0..12 {
            assert_eq!(pictures[image], pictures[image / 4 * 4], "picture {image}");
        }
        assert!(difference(&pictures[0], &pictures[4]) > 10.0);
        assert!(difference(&pictures[4], &pictures[8]) > 10.0);
    }

    #[test]
    fn without_identity_all_people_are_equal() {
        let pictures = pictures(&FaceKnobs { identity: 0.0, ..still() });
        assert!(pictures.iter().all(|picture| *picture == pictures[0]));
    }

    #[test]
    fn a_knob_changes_only_what_it_names() {
        let truth = |knobs: &FaceKnobs| generate(knobs).unwrap().truth;
        let all = truth(&FaceKnobs { lighting: 1.0, pose: 0.5, expression: 1.0, ..still() });
        let lit = truth(&FaceKnobs { lighting: 1.0, ..still() });
        let posed = truth(&FaceKnobs { pose: 0.5, ..still() });
        let moved = truth(&FaceKnobs { expression: 1.0, ..still() });
        let none = truth(&still())[0];
        for (index, all) in all.into_iter().enumerate() {
            let still = FaceTruth { person: all.person, ..none };
            let (azimuth, elevation) = (all.azimuth, all.elevation);
            assert_eq!(lit[index], FaceTruth { azimuth, elevation, ..still });
            let (yaw, pitch) = (all.yaw, all.pitch);
            assert_eq!(posed[index], FaceTruth { yaw, pitch, ..still });
            let (smile, mouth, brow) = (all.smile, all.mouth, all.brow);
            assert_eq!(moved[index], FaceTruth { smile, mouth, brow, ..still });
        }
    }

    #[test]
    fn neither_threads_nor_more_people_change_a_picture() {
        let knobs = FaceKnobs { lighting: 1.0, pose: 0.5, expression: 1.0, ..still() };
        let faces = generate(&knobs).unwrap();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| generate(&knobs)).unwrap(), faces);
        let more = generate(&FaceKnobs { people: 5, ..knobs }).unwrap();
        assert_eq!(more.pixels[..faces.pixels.len()], faces.pixels);
    }

    #[test]
    fn light_and_pose_from_the_other_side_mirror_the_picture() {
        // The average person is symmetric but for strands of hair and the glint of the eyes.
        let right = FaceTruth { azimuth: 0.8, elevation: 0.3, yaw: 0.4, ..FaceTruth::default() };
        let left = FaceTruth { azimuth: -0.8, yaw: -0.4, ..right };
        let (right, left) = (average(&right), average(&left));
        let unlike = difference(&mirrored(&right), &left);
        assert!(unlike < 4.0, "{unlike}");
        assert!(difference(&right, &left) > 20.0);
    }

    #[test]
    fn pictures_show_what_they_are_said_to_show() {
        let mean =
            |picture: &[u8], rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
                let cells = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
                let values: Vec<f64> =
                    cells.map(|(row, column)| f64::from(picture[row * 64 + column])).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
        let front = FaceTruth { elevation: 0.3, ..FaceTruth::default() };
        let lit = average(&FaceTruth { azimuth: 1.0, ..front });
        assert!(mean(&lit, 28..44, 34..44) > mean(&lit, 28..44, 20..30) + 30.0);
        let closed = average(&front);
        let open = average(&FaceTruth { mouth: 1.0, ..front });
        assert!(mean(&open, 46..51, 30..34) < mean(&closed, 46..51, 30..34) - 15.0);
        let turned = average(&FaceTruth { yaw: 0.6, ..front });
        // Hair comes into view on the side that the face turns away from.
        assert!(mean(&turned, 24..40, 14..20) < mean(&closed, 24..40, 14..20) - 15.0);
    }

    #[test]
    fn the_usual_people_can_be_told_apart_mostly() {
        // The nearest of the first five pictures of everyone names the other five.
        let knobs = FaceKnobs::default();
        let pictures = pictures(&knobs);
        let person = |image: usize| image / knobs.images_per_person;
        let known = |image: &usize| image % knobs.images_per_person < 5;
        let (gallery, probes): (Vec<_>, Vec<_>) = (0..pictures.len()).partition(known);
        let right = probes.iter().filter(|&&probe| {
            let far = |image: &&usize| difference(&pictures[**image], &pictures[probe]);
            let nearest = gallery.iter().min_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
            person(*nearest) == person(probe)
        });
        let right = right.count();
        assert!((85..100).contains(&right), "{right} of {}", probes.len());
    }

    #[test]
    fn knobs_out_of_range_are_refused() {
        let message = |knobs: FaceKnobs| generate(&knobs).unwrap_err().to_string();
        assert_eq!(
            message(FaceKnobs { pose: 2.0, ..still() }),
            "make faces: expected pose between 0 and 0.8 but got 2; choose a value in that range"
        );
        assert!(message(FaceKnobs { size: 8, ..still() }).contains("size between 16 and 256"));
        assert!(message(FaceKnobs { people: 0, ..still() }).contains("people between 1"));
        assert!(message(FaceKnobs { lighting: f64::NAN, ..still() }).contains("but got NaN"));
    }
}
