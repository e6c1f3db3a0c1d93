//! Names of signals, as images and the CRI write them, to the kernel's numbers. Pure.

use std::str::FromStr;

use minik_api::cri;
use nix::sys::signal::Signal;

/// Kernel's first real-time signal as glibc and musl give it to programs (signal(7)).
const REAL_TIME_MIN: i32 = 34;
const REAL_TIME_MAX: i32 = 64;

/// The signal that asks a container to stop: the kubelet's wish, else the image's, else SIGTERM.
pub(super) fn stop_signal(wish: cri::Signal, image: Option<&str>) -> i32 {
    let wish = wish.as_str_name().strip_prefix("SIGNAL_").and_then(number);
    wish.or_else(|| image.and_then(number)).unwrap_or(libc::SIGTERM)
}

/// The CRI's word for a number.
pub(super) fn cri_signal(wanted: i32) -> cri::Signal {
    let names = (0..=65).filter_map(|value| cri::Signal::try_from(value).ok());
    let mut matching =
        names.filter(|signal| signal.as_str_name().strip_prefix("SIGNAL_").and_then(number) == Some(wanted));
    matching.next().unwrap_or(cri::Signal::RuntimeDefault)
}

/// `SIGQUIT`, `QUIT`, `sigquit`, `3`, `SIGRTMIN+3`.
pub(crate) fn number(name: &str) -> Option<i32> {
    let name = name.trim().to_ascii_uppercase();
    if let Ok(number) = name.parse::<i32>() {
        return (1..=REAL_TIME_MAX).contains(&number).then_some(number);
    }
    let short = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |base: i32, rest: &str, sign: i32| {
        // The CRI writes RTMINPLUS3, images write RTMIN+3.
        let digits = rest
            .trim_start_matches("PLUS")
            .trim_start_matches("MINUS")
            .trim_start_matches(['+', '-']);
        let offset = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let number = base + sign * offset;
        (REAL_TIME_MIN..=REAL_TIME_MAX).contains(&number).then_some(number)
    };
    if let Some(rest) = short.strip_prefix("RTMIN") {
        return offset(REAL_TIME_MIN, rest, 1);
    }
    if let Some(rest) = short.strip_prefix("RTMAX") {
        return offset(REAL_TIME_MAX, rest, -1);
    }
    let short = match short {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        other => other,
    };
    Signal::from_str(&format!("SIG{short}"))
        .ok()
        .map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_both_spellings() {
        for (name, expected) in [
            ("SIGQUIT", Some(3)),
            ("quit", Some(3)),
            ("3", Some(3)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMINPLUS3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("SIGRTMAXMINUS14", Some(50)),
            ("SIGCLD", Some(17)),
            ("SIGRTMIN+99", None),
            ("0", None),
            ("SIGNOTHING", None),
            ("RUNTIME_DEFAULT", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }

    #[test]
    fn the_kubelets_wish_comes_before_the_images() {
        assert_eq!(stop_signal(cri::Signal::RuntimeDefault, None), 15);
        assert_eq!(stop_signal(cri::Signal::RuntimeDefault, Some("SIGQUIT")), 3);
        assert_eq!(stop_signal(cri::Signal::Sigint, Some("SIGQUIT")), 2);
        assert_eq!(stop_signal(cri::Signal::RuntimeDefault, Some("nonsense")), 15);
    }

    #[test]
    fn every_signal_of_the_cri_has_a_number_that_leads_back_to_it() {
        for signal in (1..=65).filter_map(|value| cri::Signal::try_from(value).ok()) {
            let number = stop_signal(signal, None);
            assert_eq!(
                stop_signal(cri_signal(number), None),
                number,
                "{}",
                signal.as_str_name()
            );
        }
        assert_eq!(cri_signal(15), cri::Signal::Sigterm);
    }
}
