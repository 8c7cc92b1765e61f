//! Secrets and logs.

use super::*;

#[test]
fn no_secret_is_in_what_is_logged() {
    let peer = Peer {
        uid: 1,
        gid: 1,
        groups: Vec::new(),
    };
    let origin = Origin::Unix(peer);
    let request = RequestFacts {
        credentials: Credentials::Bearer("s3cret"),
        ..RequestFacts::new(&origin)
    };
    assert!(!format!("{request:?}").contains("s3cret"));
}
