//! Meaning of the events and errors of the `notify` crate.
//!
//! **Invariant:** what our own looks raise says nothing.

use ::notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RemoveKind, RenameMode};
use ::notify::{Error, ErrorKind, Event};
use rustix::io::Errno;

/// Meaning of an event. Anything may be a directory: only for directories that are
/// known does it make a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MappedEvent {
    Touched,
    Removed,
    MovedFrom,
    MovedTo,
}

/// Returns the meaning of an event, and the number that it shares with its other half; `None` if
/// nothing has to be looked at.
pub(super) fn map_event(event: &Event) -> Option<(MappedEvent, u32)> {
    let meaning = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => MappedEvent::Touched,
        // The first are raised by our own looks. The second come with every write(2), and the end
        // of the writing is an event as well. Before the third, both halves have come.
        EventKind::Access(_)
        | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Name(RenameMode::Both)) => {
            return None;
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => MappedEvent::MovedFrom,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => MappedEvent::MovedTo,
        EventKind::Remove(
            RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other,
        ) => MappedEvent::Removed,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
            MappedEvent::Touched
        }
    };
    let cookie = event
        .tracker()
        .and_then(|cookie| u32::try_from(cookie).ok());
    match (meaning, cookie) {
        (_, Some(cookie)) => Some((meaning, cookie)),
        // Without a number there is no other half to look for.
        (MappedEvent::MovedFrom | MappedEvent::MovedTo, None) => Some((MappedEvent::Touched, 0)),
        (MappedEvent::Touched | MappedEvent::Removed, None) => Some((meaning, 0)),
    }
}

/// The operating system's answer behind an error of the crate.
pub(super) fn errno(error: &Error) -> Errno {
    match &error.kind {
        ErrorKind::MaxFilesWatch => Errno::NOSPC,
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => Errno::NOENT,
        ErrorKind::Io(error) => Errno::from_io_error(error).unwrap_or(Errno::IO),
        ErrorKind::Generic(_) | ErrorKind::InvalidConfig(_) => Errno::IO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_say_nothing_and_halves_of_renames_keep_their_number() {
        let of = |kind| map_event(&Event::new(kind));
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        assert_eq!(of(open), None);
        assert_eq!(of(closed(AccessMode::Read)), None);
        assert_eq!(
            of(closed(AccessMode::Write)),
            Some((MappedEvent::Touched, 0))
        );
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let half = Event::new(renamed(RenameMode::To)).set_tracker(7);
        assert_eq!(map_event(&half), Some((MappedEvent::MovedTo, 7)));
        assert_eq!(
            of(renamed(RenameMode::From)),
            Some((MappedEvent::Touched, 0))
        );
        assert_eq!(of(renamed(RenameMode::Both)), None);
    }

    #[test]
    fn too_many_watches_are_known_as_such() {
        assert_eq!(errno(&Error::new(ErrorKind::MaxFilesWatch)), Errno::NOSPC);
        let refused = Error::io(Errno::ACCESS.into());
        assert_eq!(errno(&refused), Errno::ACCESS);
    }
}
