//! Users and groups by name or number, from the texts of the image's own /etc/passwd and /etc/group
//! (passwd(5), group(5)). Lines that are no entries are passed over, as the C library does.

use minik_api::cri;

use super::SpecError;

/// The image's user files; empty when it has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Users<'a> {
    /// Text of `/etc/passwd`.
    pub passwd: &'a str,
    /// Text of `/etc/group`.
    pub group: &'a str,
}

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
}

#[derive(Debug)]
struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Users<'a> {
    /// The home directory of a user; `/` when the image doesn't know it.
    #[must_use]
    pub fn home(&self, uid: u32) -> String {
        let home = self.entries().find(|entry| entry.uid == uid).map(|entry| entry.home);
        home.filter(|home| home.starts_with('/')).unwrap_or("/").to_owned()
    }

    /// `name:password:uid:gid:comment:home:shell`
    fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        self.passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            Some(Entry {
                name: fields.first()?,
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
                home: fields.get(5).copied().unwrap_or_default(),
            })
        })
    }

    /// `name:password:gid:member,member`
    fn groups(&self) -> impl Iterator<Item = (&'a str, u32, &'a str)> {
        self.group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            Some((
                *fields.first()?,
                fields.get(2)?.parse().ok()?,
                fields.get(3).copied().unwrap_or_default(),
            ))
        })
    }

    fn group_number(&self, name: &str) -> Result<u32, SpecError> {
        let known = self.groups().find(|(known, ..)| *known == name).map(|(_, gid, _)| gid);
        known
            .or_else(|| name.parse().ok())
            .ok_or_else(|| SpecError::UnknownUser {
                kind: "group",
                name: name.to_owned(),
                file: "group",
            })
    }
}

/// Resolves `user`, `uid`, `user:group` and so on, as the USER of a Dockerfile has it. Empty is root.
///
/// # Errors
/// A name that the image doesn't know.
pub fn resolve(text: &str, users: &Users<'_>) -> Result<Identity, SpecError> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group)));
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    // A name that is all digits is a name first, as getpwnam(3) is asked before the number is taken for one.
    let by_name = users.entries().find(|entry| entry.name == user);
    let entry = by_name.or_else(|| users.entries().find(|entry| Some(entry.uid) == number));
    let uid = entry
        .as_ref()
        .map(|entry| entry.uid)
        .or(number)
        .ok_or_else(|| SpecError::UnknownUser {
            kind: "user",
            name: user.to_owned(),
            file: "passwd",
        })?;
    let gid = match group.filter(|group| !group.is_empty()) {
        Some(group) => users.group_number(group)?,
        None => entry.as_ref().map_or(0, |entry| entry.gid),
    };
    let name = entry.map(|entry| entry.name);
    let member = |members: &str| name.is_some_and(|name| members.split(',').any(|member| member.trim() == name));
    let groups = users
        .groups()
        .filter(|(.., members)| member(members))
        .map(|(_, gid, _)| gid);
    Ok(Identity {
        uid,
        gid,
        groups: unique(std::iter::once(gid).chain(groups)),
    })
}

/// Who a container runs as: what the pod says, else what the image says.
pub(super) fn of_container(
    context: &cri::LinuxContainerSecurityContext,
    image_user: &str,
    users: &Users<'_>,
) -> Result<Identity, SpecError> {
    let user = match (&context.run_as_user, context.run_as_username.as_str()) {
        (Some(number), _) => in_range("runAsUser", number.value)?.to_string(),
        (None, "") => image_user.to_owned(),
        (None, name) => name.to_owned(),
    };
    if context.run_as_group.is_some() && user.is_empty() {
        return Err(SpecError::GroupWithoutUser);
    }
    let mut identity = resolve(&user, users)?;
    if let Some(group) = &context.run_as_group {
        identity.gid = in_range("runAsGroup", group.value)?;
    }
    let strict = context.supplemental_groups_policy() == cri::SupplementalGroupsPolicy::Strict;
    let of_image = if strict { Vec::new() } else { identity.groups };
    let asked = context
        .supplemental_groups
        .iter()
        .map(|gid| in_range("supplementalGroups", *gid));
    let asked = asked.collect::<Result<Vec<u32>, _>>()?;
    identity.groups = unique(
        std::iter::once(identity.gid)
            .chain(of_image.into_iter().skip(1))
            .chain(asked),
    );
    Ok(identity)
}

fn unique(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all = Vec::new();
    for number in numbers {
        if !all.contains(&number) {
            all.push(number);
        }
    }
    all
}

fn in_range(field: &'static str, value: i64) -> Result<u32, SpecError> {
    u32::try_from(value).map_err(|_| SpecError::OutOfRange { field, value })
}
