//! Who may do what: known by the credentials that the kernel tells of a socket's peer.
//!
//! **Invariant:** who can connect may ask. To act (remove, release) takes the daemon's own user, root, a process with the configured
//! group, or a member of it in the group database; nobody else, and nothing that a client says of itself counts.

use nix::unistd::{Gid, Group, Uid, User};

pub use super::peer::Peer;
use super::problem::Problem;

/// A group whose members may act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActingGroup {
    /// Its name, for messages.
    pub name: String,
    /// Its id.
    pub gid: u32,
}

/// Who may act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actors {
    /// The user id that the daemon runs as.
    pub daemon_uid: u32,
    /// The configured group.
    pub group: Option<ActingGroup>,
}

impl Actors {
    /// Whether `peer` may act. Asks the group database where the answer depends on it, off the runtime's threads: it may lie on
    /// the network.
    ///
    /// # Errors
    /// A 403 that says who `peer` is and what would mend it.
    pub async fn admit(&self, peer: &Peer) -> Result<(), Problem> {
        if self.is_known(peer) {
            return Ok(());
        }
        let (group, uid) = (self.group.clone(), peer.uid);
        let (is_member, user) = tokio::task::spawn_blocking(move || {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            let is_member = group.is_some_and(|group| is_member(user.as_ref(), &group));
            (is_member, user.map(|user| user.name))
        })
        .await
        .map_err(|_| Problem::internal("the user database could not be asked"))?;
        if is_member {
            return Ok(());
        }
        Err(self.refusal(peer, user.as_deref()))
    }

    /// What can be decided without the group database.
    fn is_known(&self, peer: &Peer) -> bool {
        peer.uid == 0
            || peer.uid == self.daemon_uid
            || self
                .group
                .as_ref()
                .is_some_and(|group| peer.has_group(group.gid))
    }

    fn refusal(&self, peer: &Peer, name: Option<&str>) -> Problem {
        let you = match name {
            Some(name) => format!("{name} (uid {})", peer.uid),
            None => format!("uid {}", peer.uid),
        };
        let hint = match &self.group {
            Some(group) => format!(
                "become root or uid {}, or a member of group \"{}\"",
                self.daemon_uid, group.name
            ),
            None => format!(
                "become root or uid {}, or name a group in the configuration (group = \"…\") and become a member of it",
                self.daemon_uid
            ),
        };
        Problem::forbidden(format!("you are {you}, who may ask but not act")).hint(hint)
    }
}

/// Whether the databases count `user` among the members of `group`: as its own group, or by name.
fn is_member(user: Option<&User>, group: &ActingGroup) -> bool {
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

    fn actors(group: Option<u32>) -> Actors {
        Actors {
            daemon_uid: 990,
            group: group.map(|gid| ActingGroup {
                name: "cleaners".to_owned(),
                gid,
            }),
        }
    }

    #[tokio::test]
    async fn root_the_daemon_s_user_and_the_group_may_act() {
        assert_eq!(actors(None).admit(&Peer::new(0, 5)).await, Ok(()));
        assert_eq!(actors(None).admit(&Peer::new(990, 5)).await, Ok(()));
        assert_eq!(
            actors(Some(77)).admit(&Peer::new(STRANGER, 77)).await,
            Ok(())
        );
        let supplementary = Peer {
            groups: vec![5, 77],
            ..Peer::new(STRANGER, 5)
        };
        assert_eq!(actors(Some(77)).admit(&supplementary).await, Ok(()));
    }

    #[tokio::test]
    async fn others_are_told_who_they_are_and_what_would_mend_it() {
        let problem = actors(Some(77))
            .admit(&Peer::new(STRANGER, 5))
            .await
            .unwrap_err();
        assert_eq!(problem.status, 403);
        assert_eq!(
            problem.detail,
            "you are uid 3999999001, who may ask but not act"
        );
        assert_eq!(
            problem.hint.as_deref(),
            Some("become root or uid 990, or a member of group \"cleaners\"")
        );
        let problem = actors(None)
            .admit(&Peer::new(STRANGER, 990))
            .await
            .unwrap_err();
        assert!(problem.hint.is_some_and(|hint| hint.contains("group = ")));
    }

    #[test]
    fn the_databases_tell_members() {
        let root = User::from_uid(Uid::from_raw(0)).unwrap();
        let own = |gid| ActingGroup {
            name: "x".to_owned(),
            gid,
        };
        assert!(is_member(root.as_ref(), &own(0)), "root's own group");
        assert!(!is_member(root.as_ref(), &own(STRANGER)));
        assert!(!is_member(None, &own(0)));
    }
}
