//! Counts successes and failures against a probe's thresholds: pure.

use k8s_openapi::api::core::v1::Probe;

/// One probe's record.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    success_threshold: u32,
    failure_threshold: u32,
    in_a_row: u32,
    last: Option<bool>,
    verdict: Option<bool>,
}

impl Counter {
    /// Nothing counted yet.
    pub(crate) fn new(probe: &Probe) -> Self {
        let threshold = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
                .max(1)
        };
        Self {
            success_threshold: threshold(probe.success_threshold, 1),
            failure_threshold: threshold(probe.failure_threshold, 3),
            in_a_row: 0,
            last: None,
            verdict: None,
        }
    }

    /// Counts one result; gives the verdict when it changes.
    pub(crate) fn record(&mut self, success: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(success) {
            self.in_a_row.saturating_add(1)
        } else {
            1
        };
        self.last = Some(success);
        let threshold = if success {
            self.success_threshold
        } else {
            self.failure_threshold
        };
        if self.in_a_row < threshold || self.verdict == Some(success) {
            return None;
        }
        self.verdict = Some(success);
        Some(success)
    }

    /// It came to a success once.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.verdict == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(success_threshold: i32, failure_threshold: i32, results: &str) -> Vec<Option<bool>> {
        let mut counter = Counter::new(&Probe {
            success_threshold: Some(success_threshold),
            failure_threshold: Some(failure_threshold),
            ..Default::default()
        });
        results.chars().map(|result| counter.record(result == '+')).collect()
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdicts(1, 3, "+--+---+"), [yes, None, None, None, None, None, no, yes]);
        assert_eq!(verdicts(2, 1, "+-++"), [None, no, None, yes]);
        assert_eq!(verdicts(1, 2, "----"), [None, no, None, None]);
    }
}
