//! Conflicts, as clients are told of them: kubectl shows the message and explains what to do about it.

use minik_api::status::{Cause, Status};

use super::managers::{Manager, Operation};
use super::set::text;
use super::track::Conflict;

/// 409 with a cause for each field.
pub(crate) fn status(conflicts: &[Conflict]) -> Status {
    let causes = conflicts.iter().map(|conflict| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {}", who(&conflict.with)),
        field: text(&conflict.path),
    });
    let mut status = Status::failure(409, "Conflict", message(conflicts));
    status.details.get_or_insert_default().causes = causes.collect();
    status
}

/// Conflicts come sorted by manager.
fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let (who, path) = (who(&only.with), text(&only.path));
        return format!("Apply failed with 1 conflict: conflict with {who}: {path}");
    }
    let mut lines = Vec::new();
    let mut before = None;
    for conflict in conflicts {
        if before != Some(&conflict.with) {
            lines.push(format!("conflicts with {}:", who(&conflict.with)));
        }
        before = Some(&conflict.with);
        lines.push(format!("- {}", text(&conflict.path)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

fn who(manager: &Manager) -> String {
    let mut who = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        who += &format!(" with subresource {:?}", manager.subresource);
    }
    if manager.operation == Operation::Update {
        who += &format!(" using {}", manager.api_version);
    }
    who
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::element::Element;

    fn conflict(name: &str, operation: Operation, field: &str) -> Conflict {
        Conflict {
            with: Manager {
                operation,
                name: name.into(),
                api_version: "apps/v1".into(),
                subresource: String::new(),
            },
            path: vec![Element::Field("spec".into()), Element::Field(field.into())],
        }
    }

    #[test]
    fn messages_are_those_that_people_look_up() {
        let one = [conflict("kubectl-client-side-apply", Operation::Update, "replicas")];
        let status = status(&one);
        assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
        assert_eq!(
            status.message,
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
        );
        let cause = &status.details.expect("causes are told").causes[0];
        assert_eq!(cause.reason, "FieldManagerConflict");
        assert_eq!(
            cause.message,
            "conflict with \"kubectl-client-side-apply\" using apps/v1"
        );
        assert_eq!(cause.field, ".spec.replicas");
        let three = [
            conflict("a", Operation::Apply, "paused"),
            conflict("a", Operation::Apply, "replicas"),
            conflict("b", Operation::Update, "replicas"),
        ];
        assert_eq!(
            message(&three),
            "Apply failed with 3 conflicts: conflicts with \"a\":\n- .spec.paused\n- .spec.replicas\n\
             conflicts with \"b\" using apps/v1:\n- .spec.replicas"
        );
    }
}
