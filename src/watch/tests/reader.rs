//! A watcher whose backend can be kept from reading the kernel's queue.

use std::sync::Arc;

use parking_lot::Mutex;

use super::BACKEND;
use super::harness::Bench;
use crate::watch::inotify::Inotify;
use crate::watch::notify::Notify;
use crate::watch::{BackendKind, Options, Watcher};

/// Reader of the kernel's queue.
pub enum Reader {
    Inotify(Arc<Inotify>),
    Notify(Arc<Notify>),
}

impl Reader {
    /// Keeps it from reading for as long as the guard lives.
    pub fn hold(&self) -> parking_lot::MutexGuard<'_, ()> {
        match self {
            Self::Inotify(inotify) => inotify.hold_reader(),
            Self::Notify(notify) => notify.hold_reader(),
        }
    }
}

impl Bench {
    /// As [`Bench::start`], where the backend's reader can be kept from reading.
    pub fn start_held(&mut self, options: Options) -> Reader {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let sink = self.shared.sink();
        let watcher = match BACKEND {
            BackendKind::Inotify => Watcher::start_with(options, sink, move |max, crew, wake| {
                let inotify = Arc::new(Inotify::start(max, crew, wake)?);
                *keep.lock() = Some(Reader::Inotify(Arc::clone(&inotify)));
                Ok(inotify)
            }),
            BackendKind::Notify => Watcher::start_with(options, sink, move |max, _, wake| {
                let notify = Arc::new(Notify::start(max, wake)?);
                *keep.lock() = Some(Reader::Notify(Arc::clone(&notify)));
                Ok(notify)
            }),
            BackendKind::Poll => panic!("there is nothing to read"),
        };
        self.watcher = Some(watcher.unwrap());
        self.sync();
        kept.lock().take().unwrap()
    }
}
