//! Sound: WAV files of 16-bit PCM, cut into frames.
//!
//! A row is a frame: `frame` samples of one channel that follow each other. Frames come in the order
//! of time, and of the channels at one time in the order of the file, so row `r` is channel `r mod c`
//! of frame `r div c`, where c counts the channels. The last frame is filled up with silence.
//!
//! A sample is `value / 32768`, between −1 and 1 as other tools give it, which f32 holds exactly.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mapped::{Bytes, Content};
use super::source::{Precision, Source};
use crate::compute::Real;
use crate::error::{Error, Result};

/// Samples of a frame where nobody says how many: 16 ms at 16,000 a second.
pub(super) const FRAME: usize = 256;
/// The longest frame: 22 seconds at 48,000 a second.
const LONGEST_FRAME: usize = 1 << 20;
/// What a sample of 16 bits is divided by.
pub(crate) const FULL_SCALE: f64 = 32768.0;
/// Bytes that are read before the pages of a mapped file are given back.
const RESIDENT: usize = 128 << 20;

/// What a WAV file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sound {
    /// Samples of each channel in a second.
    pub sample_rate: u32,
    /// 1 for mono, 2 for stereo.
    pub channels: u16,
    /// Samples of each channel.
    pub samples: usize,
}

impl Sound {
    /// Rows of `frame` samples that it makes.
    pub fn rows(&self, frame: usize) -> usize {
        self.samples.div_ceil(frame) * usize::from(self.channels)
    }
}

/// Whether these are the first bytes of a WAV file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE")
}

/// What the file says of itself, and where its samples begin.
pub(super) fn header(path: &Path, bytes: &[u8]) -> Result<(Sound, usize)> {
    let bad = |problem: String| Error::bad_file(path, problem, "write or fetch the file again");
    let reader =
        hound::WavReader::new(Cursor::new(bytes)).map_err(|error| bad(error.to_string()))?;
    let (spec, samples) = (reader.spec(), reader.duration() as usize);
    if spec.sample_format != hound::SampleFormat::Int || spec.bits_per_sample != 16 {
        let kind = match spec.sample_format {
            hound::SampleFormat::Int => "whole numbers",
            hound::SampleFormat::Float => "floating point",
        };
        return Err(Error::mistake(
            format!("open {}", path.display()),
            "a WAV file of 16-bit PCM",
            format!("{} bits, {kind}", spec.bits_per_sample),
            "convert it, as with `sox IN.wav -b 16 OUT.wav`",
        ));
    }
    if samples == 0 || spec.channels == 0 {
        let remedy = "give a file that holds sound";
        let place = format!("none in '{}'", path.display());
        return Err(Error::mistake("open", "at least one sample", place, remedy));
    }
    let start = reader.into_inner().position() as usize;
    let needed = samples * usize::from(spec.channels) * 2;
    if bytes.len().saturating_sub(start) < needed {
        let found = bytes.len().saturating_sub(start);
        return Err(bad(format!("its header tells of {needed} bytes of sound, found {found}")));
    }
    Ok((Sound { sample_rate: spec.sample_rate, channels: spec.channels, samples }, start))
}

/// The path and the length of a frame of `PATH?frame=512`; `None` where `spec` says nothing of frames.
pub(super) fn split(spec: &str) -> Option<(&str, &str)> {
    spec.rsplit_once("?frame=")
}

/// A length of frames that was asked for.
pub(super) fn frame(spec: &str, text: &str) -> Result<usize> {
    let length = text.parse().ok().filter(|length| (1..=LONGEST_FRAME).contains(length));
    length.ok_or_else(|| {
        Error::mistake(
            format!("open {spec}"),
            format!("a frame of 1 to {LONGEST_FRAME} samples"),
            format!("`frame={text}`"),
            "write it as in 'song.wav?frame=256'",
        )
    })
}

/// The frames of a file as rows.
pub(super) struct Frames {
    bytes: Bytes,
    start: usize,
    sound: Sound,
    frame: usize,
    /// Bytes read since pages were last given back.
    resident: AtomicUsize,
}

impl Frames {
    pub(super) fn new(path: &Path, content: Content, frame: usize) -> Result<Self> {
        let (sound, start) = header(path, &content.bytes)?;
        let resident = AtomicUsize::new(0);
        Ok(Self { bytes: content.bytes, start, sound, frame, resident })
    }

    fn read<T: Real>(&self, start: usize, out: &mut [T]) {
        let channels = usize::from(self.sound.channels);
        for (row, out) in (start..).zip(out.chunks_exact_mut(self.frame)) {
            let (first, channel) = (row / channels * self.frame, row % channels);
            for (place, out) in (first..).zip(out) {
                *out = match place < self.sound.samples {
                    true => self.sample(place * channels + channel),
                    false => T::ZERO,
                };
            }
        }
        let read = 2 * out.len();
        if self.resident.fetch_add(read, Ordering::Relaxed) + read > RESIDENT {
            self.resident.store(0, Ordering::Relaxed);
            self.bytes.release();
        }
    }

    fn sample<T: Real>(&self, place: usize) -> T {
        let at = self.start + 2 * place;
        let value = i16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]);
        T::from_f64(f64::from(value) / FULL_SCALE)
    }
}

impl Source for Frames {
    fn rows(&self) -> usize {
        self.sound.rows(self.frame)
    }
    fn dim(&self) -> usize {
        self.frame
    }
    fn precision(&self) -> Precision {
        Precision::F32
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.read(start, out);
        Ok(())
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.read(start, out);
        Ok(())
    }
    fn whereabouts(&self, row: usize) -> String {
        let (channels, frame) = (usize::from(self.sound.channels), self.frame);
        let seconds = (row / channels * frame) as f64 / f64::from(self.sound.sample_rate.max(1));
        format!("row {} (channel {}, {seconds:.3} s)", row + 1, row % channels + 1)
    }
}
