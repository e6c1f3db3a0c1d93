//! Checks that several kinds share. Each adds what it finds; the sentences are those of apimachinery's `util/validation`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::NameRule;

/// A map of quantities, as it stands in specs.
pub(crate) type ResourceList = BTreeMap<String, WireQuantity>;

pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// The typed form of a section of the body (`spec`); its default when it is absent.
///
/// # Errors
/// When it has another type. Decoding has checked that, so an error here means that the object didn't come that way.
pub(crate) fn section<T: DeserializeOwned + Default>(object: &Object, name: &str) -> Result<T, Error> {
    match object.body.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| {
            Error::new(
                &Path::new(name),
                minik_api::field::Problem::TypeInvalid(Value::Null),
                error.to_string(),
            )
        }),
    }
}

/// One error for each rule of `rule` that `value` breaks.
pub(crate) fn name(rule: NameRule, value: &str, path: &Path, errors: &mut Vec<Error>) {
    errors.extend(
        rule(value)
            .into_iter()
            .map(|broken| Error::invalid(path, value, broken)),
    );
}

/// The same, for a name that must be there.
pub(crate) fn required_name(rule: NameRule, value: &str, path: &Path, errors: &mut Vec<Error>) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        name(rule, value, path, errors);
    }
}

/// A text that must be there.
pub(crate) fn required(value: &str, path: &Path, errors: &mut Vec<Error>) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    }
}

/// A text that must be one of a few.
pub(crate) fn one_of(value: Option<&str>, supported: &[&str], path: &Path, errors: &mut Vec<Error>) {
    match value {
        None | Some("") => errors.push(Error::required(path, "")),
        Some(value) if supported.contains(&value) => {}
        Some(value) => errors.push(Error::not_supported(path, value, supported)),
    }
}

/// The same, for a text that may be absent.
pub(crate) fn one_of_or_none(value: Option<&str>, supported: &[&str], path: &Path, errors: &mut Vec<Error>) {
    if value.is_some() {
        one_of(value, supported, path, errors);
    }
}

pub(crate) fn port_number(number: i32, path: &Path, errors: &mut Vec<Error>) {
    if !(1..=65535).contains(&number) {
        errors.push(Error::invalid(path, number, "must be between 1 and 65535, inclusive"));
    }
}

pub(crate) fn port(port: &IntOrString, path: &Path, errors: &mut Vec<Error>) {
    match port {
        IntOrString::Int(number) => port_number(*number, path, errors),
        IntOrString::String(text) => name(port_name, text, path, errors),
    }
}

/// An IANA service name.
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let rules = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            name.is_empty()
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !name.bytes().any(|b| b.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (
            name.starts_with('-') || name.ends_with('-'),
            "must not begin or end with a hyphen",
        ),
    ];
    rules
        .into_iter()
        .filter(|(broken, _)| *broken)
        .map(|(_, rule)| rule.to_owned())
        .collect()
}

pub(crate) fn ip(text: &str, path: &Path, errors: &mut Vec<Error>) {
    if text.parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(Error::invalid(path, text, detail));
    }
}

/// `10.0.0.0/8`
pub(crate) fn cidr(text: &str, path: &Path, errors: &mut Vec<Error>) {
    let good = text
        .split_once('/')
        .is_some_and(|(ip, bits)| match (ip.parse::<IpAddr>(), bits.parse::<u8>()) {
            (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
            (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
            _ => false,
        });
    if !good {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(Error::invalid(path, text, detail));
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    ip: IpAddr,
    bits: u8,
}

impl Cidr {
    pub(crate) fn is_v4(&self) -> bool {
        self.ip.is_ipv4()
    }

    /// Whether all of `other` is in here, and not only that.
    pub(crate) fn contains_strictly(&self, other: &Self) -> bool {
        self.is_v4() == other.is_v4()
            && self.bits < other.bits
            && masked(other.ip, self.bits) == masked(self.ip, self.bits)
    }
}

/// The address with nothing behind its first bits.
fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    let mask = |width: u8| {
        u128::MAX
            .checked_shl(u32::from(width.saturating_sub(bits)))
            .unwrap_or(0)
    };
    match ip {
        IpAddr::V4(ip) => {
            let kept = u128::from(ip.to_bits()) & mask(32);
            IpAddr::V4(u32::try_from(kept).expect("no more bits than before").into())
        }
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & mask(128)).into()),
    }
}

/// A range that [`cidr`] has nothing against.
pub(crate) fn parsed_cidr(text: &str) -> Option<Cidr> {
    let (ip, bits) = text.split_once('/')?;
    let cidr = Cidr {
        ip: ip.parse().ok()?,
        bits: bits.parse().ok()?,
    };
    (cidr.bits <= if cidr.is_v4() { 32 } else { 128 }).then_some(cidr)
}

/// A range written in the one form that nobody misreads, as newer kinds want it.
pub(crate) fn canonical_cidr(text: &str, path: &Path, errors: &mut Vec<Error>) {
    let before = errors.len();
    cidr(text, path, errors);
    let Some(range) = parsed_cidr(text).filter(|_| errors.len() == before) else {
        return;
    };
    let network = masked(range.ip, range.bits);
    let canonical = format!("{network}/{}", range.bits);
    if network != range.ip {
        let detail = "must not have bits set beyond the prefix length";
        errors.push(Error::invalid(path, text, detail));
    } else if canonical != text {
        let detail = format!("must be in canonical form (\"{canonical}\")");
        errors.push(Error::invalid(path, text, detail));
    }
}

/// `example.com/foo`
pub(crate) fn domain_prefixed_path(text: &str, path: &Path, errors: &mut Vec<Error>) {
    if text.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let Some((host, below)) = text
        .split_once('/')
        .filter(|(host, below)| !host.is_empty() && !below.is_empty())
    else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(Error::invalid(path, text, detail));
        return;
    };
    name(names::subdomain, host, path, errors);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !below.bytes().all(allowed) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(Error::invalid(path, below, detail));
    }
}

/// The name of a CSI driver, which is a domain in any case of letters.
pub(crate) fn csi_driver(driver: &str, path: &Path, errors: &mut Vec<Error>) {
    required(driver, path, errors);
    if driver.len() > 63 {
        errors.push(Error::too_long(path, 63));
    }
    let broken = names::subdomain(&driver.to_lowercase());
    errors.extend(broken.into_iter().map(|rule| Error::invalid(path, driver, rule)));
}

/// A selector in a table: as it is written on the command line, sorted by key.
pub(crate) fn shown_selector(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let mut shown: Vec<(&str, String)> = labels
        .map(|(key, value)| (key.as_str(), format!("{key}={value}")))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let key = expression.key.as_str();
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        let text = match expression.operator.as_str() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        shown.push((key, text));
    }
    if shown.is_empty() {
        return "<none>".to_owned();
    }
    shown.sort_by_key(|(key, _)| *key);
    let texts: Vec<String> = shown.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}

/// An address that somebody else can answer at.
pub(crate) fn endpoint_ip(text: &str, path: &Path, errors: &mut Vec<Error>) {
    let Ok(ip) = text.parse::<IpAddr>() else { return };
    let (link_local, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] == 0xff02),
    };
    for (broken, detail) in [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (
            ip.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned(),
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned(),
        ),
        (
            multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ] {
        if broken {
            errors.push(Error::invalid(path, text, detail));
        }
    }
}

pub(crate) fn not_negative(value: i64, path: &Path, errors: &mut Vec<Error>) {
    if value < 0 {
        errors.push(Error::invalid(path, value, NOT_NEGATIVE));
    }
}

pub(crate) fn user_or_group(id: Option<i64>, path: &Path, errors: &mut Vec<Error>) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        errors.push(Error::invalid(path, id, "must be between 0 and 2147483647, inclusive"));
    }
}

/// A file's permission bits.
pub(crate) fn mode(mode: Option<i32>, path: &Path, errors: &mut Vec<Error>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(Error::invalid(
            path,
            mode,
            "must be a number between 0 and 0777 (octal), both inclusive",
        ));
    }
}

pub(crate) fn no_backsteps(text: &str, path: &Path, errors: &mut Vec<Error>) {
    if text.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, text, "must not contain '..'"));
    }
}

/// A path below some directory.
pub(crate) fn descending_path(text: &str, path: &Path, errors: &mut Vec<Error>) {
    if text.starts_with('/') {
        errors.push(Error::invalid(path, text, "must be a relative path"));
    }
    no_backsteps(text, path, errors);
}

/// The same, for names that the kubelet's own bookkeeping (`..data`) must not meet.
pub(crate) fn unreserved_path(text: &str, path: &Path, errors: &mut Vec<Error>) {
    descending_path(text, path, errors);
    if text.starts_with("..") && !text.starts_with("../") {
        errors.push(Error::invalid(path, text, "must not start with '..'"));
    }
}

/// An amount of a resource; of some resources only whole ones.
pub(crate) fn amount(resource: &str, amount: Quantity, path: &Path, errors: &mut Vec<Error>) {
    if amount.is_negative() {
        errors.push(Error::invalid(path, amount.to_string(), NOT_NEGATIVE));
    }
    let whole = is_extended(resource) || matches!(resource, "pods" | "services" | "secrets" | "configmaps");
    if whole && amount != Quantity::from_whole(amount.value()) {
        errors.push(Error::invalid(path, amount.to_string(), "must be an integer"));
    }
}

/// A quantity of the wire; decoding has made sure that it is one.
pub(crate) fn quantity(wire: &WireQuantity) -> Quantity {
    wire.0.parse().unwrap_or(Quantity::from_whole(0))
}

/// `example.com/gpu`: counted, never overcommitted.
pub(crate) fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/") && !resource.starts_with("requests.")
}

pub(crate) fn label_selector(selector: Option<&LabelSelector>, path: &Path, errors: &mut Vec<Error>) {
    let Some(selector) = selector else { return };
    if let Some(labels) = &selector.match_labels {
        errors.extend(super::metadata::validate_labels(labels, &path.child("matchLabels")));
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = expression.values.as_deref().unwrap_or_default();
        selector_operator(&expression.operator, values.len(), &path, errors);
        name(names::qualified, &expression.key, &path.child("key"), errors);
        for (index, value) in values.iter().enumerate() {
            name(names::label_value, value, &path.child("values").index(index), errors);
        }
    }
}

/// Whether the operator is known and has as many values as it needs.
pub(crate) fn selector_operator(operator: &str, values: usize, path: &Path, errors: &mut Vec<Error>) {
    let values_path = path.child("values");
    match operator {
        "In" | "NotIn" if values == 0 => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&values_path, detail));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values_path, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
}

/// A field that an update may not change.
pub(crate) fn immutable(new: Option<&Value>, old: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    if new != old {
        let shown = new.cloned().unwrap_or(Value::Null);
        errors.push(Error::invalid(path, shown, "field is immutable"));
    }
}
