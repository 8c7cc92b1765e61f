//! Roles of the users of this host, by the credentials that the kernel has of a socket's peer.
//!
//! **Invariant:** every peer is a viewer. Operators are the members of the configured group, by the
//! process's groups or by the group database. Admins are root and the daemon's own user. Nothing
//! that a client says about itself counts.

use std::fmt;

use nix::unistd::{Gid, Group, Uid, User};

use crate::app::error::{AppError, ErrorKind};
use crate::core::principal::Principal;
use crate::core::role::Role;

/// Process at the other end of a Unix socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Effective user id when it connected.
    pub uid: u32,
    /// Effective group id when it connected.
    pub gid: u32,
    /// Supplementary groups when it connected; empty if the kernel does not tell them.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Identity, as the ledger names it.
    pub(super) const fn principal(&self) -> Principal {
        Principal::Uid(self.uid)
    }

    /// Returns true if the process had this group.
    fn has_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal().fmt(f)
    }
}

/// Group whose members are operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorGroup {
    /// Name, for messages.
    pub name: String,
    /// Id.
    pub gid: u32,
}

/// Roles of the users of this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorizer {
    /// User id of the daemon.
    pub daemon_uid: u32,
    /// The configured group.
    pub group: Option<OperatorGroup>,
}

impl Authorizer {
    /// Checks that `peer` has `role`. Asks the group database if the answer depends on it, off the
    /// runtime's threads: it may be on the network.
    ///
    /// # Errors
    /// If it has not; the message says who `peer` is, and what would help.
    pub(super) async fn check(&self, peer: &Peer, role: Role) -> Result<(), AppError> {
        if role <= self.role_without_database(peer) {
            return Ok(());
        }
        let (group, uid) = (self.group.clone(), peer.uid);
        let (is_member, user) = tokio::task::spawn_blocking(move || {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            let is_member = group.is_some_and(|group| is_member(user.as_ref(), &group));
            (is_member, user.map(|user| user.name))
        })
        .await
        .map_err(|_| AppError::internal("the user database could not be asked"))?;
        if is_member && role <= Role::Operator {
            return Ok(());
        }
        Err(self.refusal(peer, user.as_deref(), role))
    }

    fn role_without_database(&self, peer: &Peer) -> Role {
        let has_group = |group: &OperatorGroup| peer.has_group(group.gid);
        if peer.uid == 0 || peer.uid == self.daemon_uid {
            Role::Admin
        } else if self.group.as_ref().is_some_and(has_group) {
            Role::Operator
        } else {
            Role::Viewer
        }
    }

    fn refusal(&self, peer: &Peer, name: Option<&str>, role: Role) -> AppError {
        let you = match name {
            Some(name) => format!("{name} (uid {})", peer.uid),
            None => format!("uid {}", peer.uid),
        };
        let hint = match (&self.group, role) {
            (_, Role::Admin) => format!("become root or uid {}", self.daemon_uid),
            (Some(group), _) => format!(
                "become root or uid {}, or a member of group \"{}\"",
                self.daemon_uid, group.name
            ),
            (None, _) => format!(
                "become root or uid {}, or name a group in the configuration (group = \"…\") and become a member of it",
                self.daemon_uid
            ),
        };
        let message = format!("permission denied: {you} is not {}", role.with_article());
        AppError::new(ErrorKind::Forbidden, message).hint(hint)
    }
}

/// Returns true if the databases count `user` among the members of `group`: as its primary group,
/// or by name.
fn is_member(user: Option<&User>, group: &OperatorGroup) -> bool {
    let Some(user) = user else {
        return false;
    };
    let gid = Gid::from_raw(group.gid);
    user.gid == gid
        || Group::from_gid(gid)
            .ok()
            .flatten()
            .is_some_and(|group| group.mem.contains(&user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user id that no database here knows.
    const STRANGER: u32 = 3_999_999_001;

    fn peer(uid: u32, gid: u32) -> Peer {
        Peer {
            uid,
            gid,
            groups: Vec::new(),
        }
    }

    fn authorizer(group: Option<u32>) -> Authorizer {
        Authorizer {
            daemon_uid: 990,
            group: group.map(|gid| OperatorGroup {
                name: "cleaners".to_owned(),
                gid,
            }),
        }
    }

    #[tokio::test]
    async fn root_the_daemon_s_user_and_the_group_may_act() {
        assert_eq!(
            authorizer(None).check(&peer(0, 5), Role::Admin).await,
            Ok(())
        );
        assert_eq!(
            authorizer(None).check(&peer(990, 5), Role::Admin).await,
            Ok(())
        );
        assert_eq!(
            authorizer(Some(77))
                .check(&peer(STRANGER, 77), Role::Operator)
                .await,
            Ok(())
        );
        let supplementary = Peer {
            groups: vec![5, 77],
            ..peer(STRANGER, 5)
        };
        assert_eq!(
            authorizer(Some(77))
                .check(&supplementary, Role::Operator)
                .await,
            Ok(())
        );
    }

    #[tokio::test]
    async fn a_refusal_says_who_asked_and_what_would_help() {
        let error = authorizer(Some(77))
            .check(&peer(STRANGER, 5), Role::Operator)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Forbidden);
        assert_eq!(
            error.message,
            "permission denied: uid 3999999001 is not an operator"
        );
        assert_eq!(
            error.hint.as_deref(),
            Some("become root or uid 990, or a member of group \"cleaners\"")
        );
        let error = authorizer(None)
            .check(&peer(STRANGER, 990), Role::Operator)
            .await
            .unwrap_err();
        assert!(error.hint.is_some_and(|hint| hint.contains("group = ")));
    }

    #[test]
    fn the_databases_tell_members() {
        let root = User::from_uid(Uid::from_raw(0)).unwrap();
        let own = |gid| OperatorGroup {
            name: "x".to_owned(),
            gid,
        };
        assert!(is_member(root.as_ref(), &own(0)), "root's own group");
        assert!(!is_member(root.as_ref(), &own(STRANGER)));
        assert!(!is_member(None, &own(0)));
    }
}
