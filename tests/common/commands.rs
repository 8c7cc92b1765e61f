//! Commands, and what they say.

use super::{Place, errors};

/// What a command that ends well says.
#[track_caller]
pub fn said(place: &Place, arguments: &[&str]) -> Vec<String> {
    let said = place.said(arguments);
    said.lines().map(str::to_owned).collect()
}

/// Why a command is refused: it ends with 2, and says nothing but that.
#[track_caller]
pub fn refused(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    errors(&output)
}
