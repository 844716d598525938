//! The first pass: how often features fire, how high their codes are and where they are highest.

use super::collect::{Asked, Firing, Part};

/// What is found of a feature.
#[derive(Default, Clone)]
pub(super) struct Seen {
    pub(super) fired: u64,
    pub(super) sum: f64,
    pub(super) largest: f32,
    /// Of each window the largest code, in falling order.
    pub(super) top: Vec<Firing>,
}

/// What is found of every feature that is asked for, in their order.
pub(super) struct Peaks {
    pub(super) seen: Vec<Seen>,
    pub(super) tokens: u64,
    top: usize,
}

impl Peaks {
    pub(super) fn new(features: usize, top: usize) -> Self {
        Self { seen: vec![Seen::default(); features], tokens: 0, top }
    }

    pub(super) fn add(&mut self, part: &Part<'_>, asked: &Asked) {
        self.tokens += part.codes.rows() as u64;
        part.each(asked, |place, firing| {
            let firing = Firing { code: firing.code.abs(), ..firing };
            let seen = &mut self.seen[place];
            seen.fired += 1;
            seen.sum += f64::from(firing.code);
            seen.largest = seen.largest.max(firing.code);
            keep_top(&mut seen.top, firing, self.top);
        });
    }
}

/// Keeps the largest codes, one of each window, in falling order.
fn keep_top(top: &mut Vec<Firing>, firing: Firing, most: usize) {
    if let Some(own) = top.iter_mut().find(|own| own.window == firing.window) {
        if firing.code > own.code {
            *own = firing;
        }
    } else if top.len() < most {
        top.push(firing);
    } else if top.last().is_some_and(|last| firing.code > last.code) {
        top.pop();
        top.push(firing);
    } else {
        return;
    }
    top.sort_by(|a, b| b.code.total_cmp(&a.code).then(a.window.cmp(&b.window)));
}
