//! Which stages of a Dockerfile are built for a target: those that it needs, and no others. Pure.

use std::collections::BTreeSet;

use super::Wrong;
use super::dockerfile::{Act, Dockerfile, Stage};
use super::mounts;

/// What a stage of a Dockerfile is called by: a name or its number; none of those means an image.
pub(super) fn stage_of(file: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    let earlier = &file.stages[..before.min(file.stages.len())];
    let lower = name.to_lowercase();
    let by_name = earlier
        .iter()
        .rposition(|stage| stage.name.as_deref() == Some(lower.as_str()));
    by_name.or_else(|| name.parse().ok().filter(|number| *number < earlier.len()))
}

/// The stage that is wanted: the last one where none is named.
pub(super) fn target(file: &Dockerfile, name: &str) -> Result<usize, Wrong> {
    let last = file.stages.len().saturating_sub(1);
    if name.is_empty() {
        return Ok(last);
    }
    stage_of(file, name, file.stages.len()).ok_or_else(|| {
        let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
        Wrong::new(1, format!("there is no stage {name:?}: there are {}", names.join(", ")))
    })
}

/// The stages to build, in their order, the target last. `bases` are the FROMs with their variables replaced.
pub(super) fn needed(file: &Dockerfile, bases: &[String], target: usize) -> Vec<usize> {
    let mut needed = BTreeSet::new();
    let mut open = vec![target];
    while let Some(number) = open.pop() {
        if !needed.insert(number) {
            continue;
        }
        let stage = &file.stages[number];
        let used = std::iter::once(bases[number].clone()).chain(used(stage));
        open.extend(used.filter_map(|name| stage_of(file, &name, number)));
    }
    needed.into_iter().collect()
}

/// Names of stages or images that a stage's steps take files from.
fn used(stage: &Stage) -> impl Iterator<Item = String> + '_ {
    stage.steps.iter().flat_map(|step| match &step.act {
        Act::Copy(copy) => copy
            .options
            .iter()
            .filter(|(name, _)| name == "from")
            .map(|(_, from)| from.clone())
            .collect(),
        Act::Run(run) => mounts::sources(run),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::dockerfile::read;
    use super::*;

    #[test]
    fn only_what_the_target_needs_is_built() {
        let file = read(
            "FROM a AS one\nFROM b AS two\nCOPY . /\nFROM one AS three\nCOPY --from=two /x /y\nRUN --mount=type=bind,from=0,target=/m true\nFROM scratch\nCOPY --from=2 / /\nFROM c AS unused\n",
        )
        .expect("a Dockerfile");
        let bases: Vec<String> = file.stages.iter().map(|stage| stage.base.clone()).collect();
        let needed = |name| target(&file, name).map(|target| needed(&file, &bases, target));
        assert_eq!(needed(""), Ok(vec![4]));
        assert_eq!(needed("3"), Ok(vec![0, 1, 2, 3]));
        assert_eq!(needed("TWO"), Ok(vec![1]));
        assert!(needed("four").is_err_and(|wrong| wrong.what.contains("one, two, three, unused")));
        // A stage is no stage of its own, and of none before it.
        assert_eq!(stage_of(&file, "three", 2), None);
    }
}
