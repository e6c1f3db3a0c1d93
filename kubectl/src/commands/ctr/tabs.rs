//! Go's tabwriter, as containerd's client sets it up: a cell that a tab ends is as wide as the widest in its column, the last one
//! of a line may be without. Pure.

/// How wide cells are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tabs {
    min: usize,
    padding: usize,
    /// Filled up with tabs of eight characters in the place of blanks.
    tabs: bool,
}

/// One blank between columns.
pub(super) const NARROW: Tabs = Tabs {
    min: 1,
    padding: 1,
    tabs: false,
};
/// Four blanks.
pub(super) const WIDE: Tabs = Tabs {
    min: 4,
    padding: 4,
    tabs: false,
};
/// Tabs.
pub(super) const TABBED: Tabs = Tabs {
    min: 1,
    padding: 1,
    tabs: true,
};

impl Tabs {
    /// Lines of cells that tabs end; what is behind a line's last tab is in no column.
    pub(super) fn format(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let columns = lines.iter().map(|line| line.len() - 1).max().unwrap_or(0);
        let width = |column: usize| {
            let ended = lines.iter().filter(|line| column + 1 < line.len());
            let widest = ended.map(|line| line[column].chars().count()).max().unwrap_or(0);
            let width = (widest + self.padding).max(self.min);
            if self.tabs { width.next_multiple_of(8) } else { width }
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for line in &lines {
            let (last, ended) = line.split_last().expect("a line has a cell, be it empty");
            for (cell, width) in ended.iter().zip(&widths) {
                let missing = width - cell.chars().count();
                out.push_str(cell);
                if self.tabs {
                    out.push_str(&"\t".repeat(missing.div_ceil(8)));
                } else {
                    out.push_str(&" ".repeat(missing));
                }
            }
            out.push_str(last);
            out.push('\n');
        }
        out
    }
}

/// Sizes in powers of two, as most of the tables have them.
pub(super) fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss, reason = "a size for people")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Sizes in powers of ten with four digits, as `content ls` has them (docker's go-units).
pub(super) fn decimal(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[allow(clippy::cast_precision_loss, reason = "a size for people")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 10.0 => 3,
        value if value < 100.0 => 2,
        value if value < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_their_column() {
        assert_eq!(
            WIDE.format("TASK\tPID\tSTATUS\t\nd3\t9530\tRUNNING\n"),
            "TASK    PID     STATUS    \nd3      9530    RUNNING\n"
        );
        assert_eq!(
            NARROW.format("NAME\tLABELS\t\ndefault\t\t\n"),
            "NAME    LABELS \ndefault        \n"
        );
        assert_eq!(
            TABBED.format("DIGEST\tSIZE\nsha256:0123\t4B\n"),
            "DIGEST\t\tSIZE\nsha256:0123\t4B\n"
        );
    }

    #[test]
    fn sizes_are_written_as_containerds_client_does() {
        for (bytes, expected) in [
            (0, "0.0 B"),
            (427, "427.0 B"),
            (4096, "4.0 KiB"),
            (1_084_000, "1.0 MiB"),
        ] {
            assert_eq!(binary(bytes), expected);
        }
        for (bytes, expected) in [
            (417, "417B"),
            (1_084_123, "1.084MB"),
            (12_000_000, "12MB"),
            (2_500, "2.5kB"),
        ] {
            assert_eq!(decimal(bytes), expected);
        }
    }
}
