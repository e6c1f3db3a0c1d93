//! Who writes, as `managedFields` will say: the manager that the request names, or the program that its client is.

use http::Method;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use minik_api::field::{Error, Path};
use minik_api::status::Status;

use super::params::Params;

/// The media type of a document to be applied.
pub(super) const APPLY: &str = "application/apply-patch+yaml";
/// As upstream's.
const MAX_BYTES: usize = 128;

/// The manager of a request: `kubectl-create`, or `kubectl` of `kubectl/v1.33.1 (linux/amd64)`; empty when nothing is said.
///
/// # Errors
/// 422 when the name is none, when it is missing from an apply, or when something else is forced.
pub(super) fn of(params: &Params, parts: &Parts) -> Result<String, Status> {
    let options = match parts.method {
        Method::POST => "CreateOptions",
        Method::PUT => "UpdateOptions",
        Method::PATCH => "PatchOptions",
        _ => return Ok(String::new()),
    };
    let errors = errors(params, &parts.method, media_type(parts) == APPLY);
    if !errors.is_empty() {
        return Err(Status::invalid_options(options, &errors));
    }
    Ok(match params.field_manager.as_str() {
        "" => program(parts),
        name => name.to_owned(),
    })
}

/// The body's media type, without parameters.
pub(super) fn media_type(parts: &Parts) -> &str {
    let header = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = header.and_then(|value| value.split(';').next());
    media_type.unwrap_or_default().trim()
}

fn errors(params: &Params, method: &Method, is_apply: bool) -> Vec<Error> {
    let (name, path) = (params.field_manager.as_str(), Path::new("fieldManager"));
    let mut errors = Vec::new();
    if is_apply && name.is_empty() {
        errors.push(Error::required(&path, "is required for apply patch"));
    }
    if *method == Method::PATCH && !is_apply && params.force.is_some() {
        let detail = "may not be specified for non-apply patch";
        errors.push(Error::forbidden(&Path::new("force"), detail));
    }
    if name.len() > MAX_BYTES {
        errors.push(Error::too_long(&path, MAX_BYTES));
    }
    for (index, letter) in name.char_indices().filter(|(_, letter)| !is_printable(*letter)) {
        let detail = format!("invalid character U+{:04X} (at position {index})", u32::from(letter));
        errors.push(Error::invalid(&path, name, detail));
    }
    errors.extend(params.unsupported.iter().cloned());
    errors
}

/// What the user agent begins with.
fn program(parts: &Parts) -> String {
    let agent = parts
        .headers
        .get(USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let agent = agent.unwrap_or_default();
    let mut name = String::new();
    for letter in agent.split('/').next().unwrap_or_default().chars() {
        if name.len() + letter.len_utf8() > MAX_BYTES {
            break;
        }
        if is_printable(letter) {
            name.push(letter);
        }
    }
    name
}

/// Go's `unicode.IsPrint`, near enough: of spaces only the plain one.
fn is_printable(letter: char) -> bool {
    letter == ' ' || !(letter.is_control() || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(method: &str, query: &str, content_type: &str, agent: &str) -> Result<String, String> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/api/v1/namespaces/n/configmaps/a?{query}"))
            .header("content-type", content_type)
            .header("user-agent", agent);
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let params = Params::parse(&parts.uri).expect("a query");
        of(&params, &parts).map_err(|status| status.message)
    }

    #[test]
    fn the_request_says_who_or_its_program_does() {
        let agent = "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0";
        assert_eq!(manager("POST", "", "", agent), Ok("kubectl".into()));
        assert_eq!(manager("POST", "fieldManager=me", "", agent), Ok("me".into()));
        assert_eq!(manager("PUT", "", "", ""), Ok(String::new()));
        assert_eq!(manager("PUT", "", "", &"x".repeat(500)), Ok("x".repeat(128)));
        assert_eq!(
            manager("PATCH", "fieldManager=me&force=true", APPLY, agent),
            Ok("me".into())
        );
    }

    #[test]
    fn wrong_options_are_told() {
        let message = |method, query, media_type| manager(method, query, media_type, "a").expect_err("it is wrong");
        assert_eq!(
            message("PATCH", "", "application/apply-patch+yaml; charset=utf-8"),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        );
        assert_eq!(
            message("PATCH", "force=true", "application/merge-patch+json"),
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
        );
        let long = format!("fieldManager={}", "x".repeat(129));
        assert!(
            message("POST", &long, "").starts_with("CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long")
        );
        assert!(message("PUT", "fieldManager=a%0Ab", "").contains("invalid character U+000A (at position 1)"));
    }
}
