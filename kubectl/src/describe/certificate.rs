//! Requests for certificates: who asks, for whom, and what became of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::sheet::{Sheet, date, items, plain};
use crate::print::{age, table};

pub fn describe(sheet: &mut Sheet, object: &Value) {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    sheet.field(0, "Name", &plain(&metadata["name"]));
    sheet.field(0, "Labels", &table::labels(&metadata["labels"]));
    sheet.field(0, "Annotations", &table::labels(&metadata["annotations"]));
    sheet.field(0, "CreationTimestamp", &date(&metadata["creationTimestamp"]));
    sheet.field(0, "Requesting User", &plain(&spec["username"]));
    sheet.field_if(0, "Signer", &spec["signerName"]);
    if let Some(seconds) = spec["expirationSeconds"].as_i64() {
        sheet.field(0, "Requested Duration", &age::human(seconds));
    }
    sheet.field(0, "Status", &status(&object["status"]));
    let text = STANDARD.decode(plain(&spec["request"])).unwrap_or_default();
    let block = Pem::iter_from_buffer(&text).next().and_then(Result::ok);
    let der = block.map(|block| block.contents).unwrap_or_default();
    match X509CertificationRequest::from_der(&der) {
        Ok((_, request)) => content(sheet, &request),
        Err(error) => sheet.line(0, &format!("Error parsing CSR: {error}")),
    }
}

/// `Approved,Issued`. Pure.
fn status(status: &Value) -> String {
    let has = |name: &str| {
        items(&status["conditions"])
            .iter()
            .any(|condition| condition["type"] == name)
    };
    let mut text = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        text.push_str(",Failed");
    }
    if !plain(&status["certificate"]).is_empty() {
        text.push_str(",Issued");
    }
    text
}

/// For whom it is, inside the request.
fn content(sheet: &mut Sheet, request: &X509CertificationRequest<'_>) {
    let subject = &request.certification_request_info.subject;
    sheet.line(0, "Subject:");
    let first = |values: Vec<String>| values.into_iter().next().unwrap_or_default();
    sheet.line(
        0,
        &format!("\tCommon Name:\t{}", first(texts(subject.iter_common_name()))),
    );
    sheet.line(0, &format!("\tSerial Number:\t{}", first(named(subject, "2.5.4.5"))));
    list(sheet, "Organization", &texts(subject.iter_organization()));
    list(sheet, "Organizational Unit", &texts(subject.iter_organizational_unit()));
    list(sheet, "Country", &texts(subject.iter_country()));
    list(sheet, "Locality", &texts(subject.iter_locality()));
    list(sheet, "Province", &texts(subject.iter_state_or_province()));
    list(sheet, "StreetAddress", &named(subject, "2.5.4.9"));
    list(sheet, "PostalCode", &named(subject, "2.5.4.17"));
    let names: Vec<&GeneralName<'_>> = request
        .requested_extensions()
        .into_iter()
        .flatten()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .collect();
    let of = |one: fn(&GeneralName<'_>) -> Option<String>| -> Vec<String> {
        names.iter().filter_map(|name| one(name)).collect()
    };
    let lists = [
        (
            "DNS Names",
            of(|name| match name {
                GeneralName::DNSName(text) => Some((*text).to_owned()),
                _ => None,
            }),
        ),
        (
            "Email Addresses",
            of(|name| match name {
                GeneralName::RFC822Name(text) => Some((*text).to_owned()),
                _ => None,
            }),
        ),
        (
            "URIs",
            of(|name| match name {
                GeneralName::URI(text) => Some((*text).to_owned()),
                _ => None,
            }),
        ),
        ("IP Addresses", of(address)),
    ];
    if lists.iter().any(|(_, names)| !names.is_empty()) {
        sheet.line(0, "Subject Alternative Names:");
        lists.iter().for_each(|(label, names)| list(sheet, label, names));
    }
}

fn address(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::IPAddress(bytes) = name else {
        return None;
    };
    let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    let v6 = <[u8; 16]>::try_from(*bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    v4.or(v6).ok()
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Vec<String> {
    attributes
        .filter_map(|attribute| attribute.as_str().ok().map(str::to_owned))
        .collect()
}

/// What the subject says under an identifier that has no name of its own.
fn named(subject: &X509Name<'_>, identifier: &str) -> Vec<String> {
    texts(
        subject
            .iter_attributes()
            .filter(|attribute| attribute.attr_type().to_id_string() == identifier),
    )
}

/// One value a line, the first beside the label; nothing where there is none.
fn list(sheet: &mut Sheet, label: &str, values: &[String]) {
    if !values.is_empty() {
        sheet.line(0, &format!("\t{label}:\t{}", values.join("\n\t\t")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_is_one_word_and_what_came_of_it() {
        let of = |names: &[&str], certificate: &str| {
            let conditions: Vec<Value> = names.iter().map(|name| json!({"type": name})).collect();
            status(&json!({"conditions": conditions, "certificate": certificate}))
        };
        assert_eq!(of(&[], ""), "Pending");
        assert_eq!(of(&["Approved"], "x"), "Approved,Issued");
        assert_eq!(of(&["Approved", "Failed"], ""), "Approved,Failed");
        assert_eq!(of(&["Denied"], ""), "Denied");
    }
}
