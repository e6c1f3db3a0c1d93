//! Who is asking, and whether they may.
//!
//! ```text
//! request -> authenticate/   client certificate, bearer token (file, service account), impersonation    -> User
//!         -> authorize/      system:masters, the node's own part, roles and their bindings (rbac/)      -> yes, or 403
//! token/     the tokens of service accounts: made, read, checked against what they are bound to; oidc.rs tells others how
//! reviews/   the kinds that only ask: TokenReview, SubjectAccessReview and the like
//! ```

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod oidc;
pub(crate) mod rbac;
pub(crate) mod reviews;
pub(crate) mod token;
mod user;

pub(crate) use authenticate::{Authenticator, user_of};
pub(crate) use authorize::{Asked, Authorizer, Resource};
pub(crate) use user::{User, groups, service_account_groups, service_account_name};
