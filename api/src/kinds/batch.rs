//! The workloads that end: `/apis/batch/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[STATUS],
        ..BATCH
    },
    Kind {
        kind: "Job",
        plural: "jobs",
        singular: "job",
        categories: &["all"],
        subresources: &[STATUS],
        ..BATCH
    },
];

const BATCH: Kind = Kind {
    group: "batch",
    ..PLAIN
};
