//! CPU and memory as `top` shows them: `250m`, `64Mi`. Pure.

use std::ops::AddAssign;

use anyhow::bail;
use minik_api::quantity::Quantity;
use serde_json::Value;

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub cpu_millis: i128,
    /// Bytes.
    pub memory_bytes: i128,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// What they are called.
    Name,
    /// CPU, the most first.
    Cpu,
    /// Memory, the most first.
    Memory,
}

impl By {
    /// Reads `--sort-by`.
    ///
    /// # Errors
    /// When it is neither cpu nor memory.
    pub fn of(text: Option<&str>) -> anyhow::Result<Self> {
        match text {
            None | Some("") => Ok(Self::Name),
            Some("cpu") => Ok(Self::Cpu),
            Some("memory") => Ok(Self::Memory),
            Some(_) => bail!("--sort-by accepts only cpu or memory"),
        }
    }

    /// Sorts rows, each with its name and amounts.
    pub fn sort<T>(self, rows: &mut [T], of: impl Fn(&T) -> (String, Amounts)) {
        rows.sort_by(|a, b| {
            let ((name_a, a), (name_b, b)) = (of(a), of(b));
            let most = match self {
                Self::Name => std::cmp::Ordering::Equal,
                Self::Cpu => b.cpu_millis.cmp(&a.cpu_millis),
                Self::Memory => b.memory_bytes.cmp(&a.memory_bytes),
            };
            most.then(name_a.cmp(&name_b))
        });
    }
}

impl Amounts {
    /// Of a map such as `usage` or `allocatable`.
    #[must_use]
    pub fn of(map: &Value) -> Self {
        let read = |name: &str| map[name].as_str().and_then(|text| text.parse::<Quantity>().ok());
        Self {
            cpu_millis: read("cpu").map_or(0, |quantity| i128::from(quantity.milli_value())),
            memory_bytes: read("memory").map_or(0, |quantity| i128::from(quantity.value())),
        }
    }

    /// `250m`
    #[must_use]
    pub fn cpu(self) -> String {
        format!("{}m", self.cpu_millis)
    }

    /// `64Mi`
    #[must_use]
    pub fn memory(self) -> String {
        format!("{}Mi", self.memory_bytes / (1 << 20))
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.cpu_millis += other.cpu_millis;
        self.memory_bytes += other.memory_bytes;
    }
}

/// A part as a percentage, or what is said where the whole is unknown.
#[must_use]
pub fn percent(part: i128, whole: i128) -> String {
    if whole <= 0 {
        return "<unknown>".to_owned();
    }
    format!("{}%", part * 100 / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_shown_as_kubectl_does() {
        let amounts = Amounts::of(&json!({"cpu": "156340n", "memory": "66000Ki"}));
        assert_eq!((amounts.cpu().as_str(), amounts.memory().as_str()), ("1m", "64Mi"));
        let amounts = Amounts::of(&json!({"cpu": "2", "memory": "1Gi"}));
        assert_eq!((amounts.cpu().as_str(), amounts.memory().as_str()), ("2000m", "1024Mi"));
        assert_eq!(percent(500, 2000), "25%");
        assert_eq!(percent(500, 0), "<unknown>");
    }

    #[test]
    fn rows_are_sorted_by_use() {
        let row = |name: &str, cpu_millis, memory_bytes| {
            (
                name.to_owned(),
                Amounts {
                    cpu_millis,
                    memory_bytes,
                },
            )
        };
        let mut rows = [row("b", 1, 9), row("a", 2, 3), row("c", 2, 1)];
        By::of(Some("cpu")).expect("known").sort(&mut rows, Clone::clone);
        assert_eq!(rows.clone().map(|row| row.0), ["a", "c", "b"]);
        By::of(None).expect("known").sort(&mut rows, Clone::clone);
        assert_eq!(rows.map(|row| row.0), ["a", "b", "c"]);
        assert!(By::of(Some("disk")).is_err());
    }
}
