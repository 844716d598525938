//! Whether what a fit has to hold fits in memory, asked before it is allocated: an allocation that
//! is refused would end the program, and one that is granted too freely would end it later.

use crate::error::{Error, Result};

/// Bytes that are not worth asking for.
const SMALL: f64 = 1e8;

/// Refuses `bytes` that are not there; `what` is what would fill them.
pub(super) fn check_memory(bytes: f64, what: impl FnOnce() -> String) -> Result<()> {
    let there = if bytes < SMALL { f64::INFINITY } else { available() };
    if bytes <= there {
        return Ok(());
    }
    Err(Error::failure(
        "fit PCA",
        format!(
            "{} would take {:.1} GB of memory where {:.1} GB are free",
            what(),
            bytes / 1e9,
            there / 1e9
        ),
        "use fewer columns (pictures: a smaller size), or a larger machine",
    ))
}

/// Memory that can be had without swapping; without limit where the system does not tell.
fn available() -> f64 {
    let of_machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
    });
    let of_group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let of_group = of_group.and_then(|text| text.trim().parse::<f64>().ok());
    of_machine
        .map_or(f64::INFINITY, |kilobytes| kilobytes * 1024.0)
        .min(of_group.unwrap_or(f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(check_memory(1e6, || unreachable!("not refused")).is_ok());
        if available().is_finite() {
            let error = check_memory(1e16, || "a matrix".to_owned()).expect_err("10 petabytes");
            assert!(error.to_string().contains("a matrix would take 10000000.0 GB"), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }
}
