//! A terminal of our own, and a command on it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::wait_or_tell;

/// A command that runs on a terminal.
pub struct Terminal {
    keys: File,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` on a terminal that is so many columns wide.
    pub fn start(command: Command, columns: u16) -> Self {
        Self::sized(command, 40, columns)
    }

    /// Starts `command` on a terminal of that size.
    pub fn sized(mut command: Command, rows: u16, columns: u16) -> Self {
        let front = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&front).unwrap();
        unlockpt(&front).unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&front, size).unwrap();
        let name = ptsname(&front, Vec::new()).unwrap();
        let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let back = File::options().read(true).write(true).open(name).unwrap();
        let child = command
            .stdin(back.try_clone().unwrap())
            .stdout(back.try_clone().unwrap())
            .stderr(Stdio::from(back))
            .spawn()
            .unwrap();
        // It holds descriptors of the terminal, which would never end.
        drop(command);
        let keys = File::from(front);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keys.try_clone().unwrap(), Arc::clone(&screen));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // When the last of the other side is closed, this fails with EIO.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            keys,
            child,
            screen,
            reader: Some(reader),
        }
    }

    /// Everything that was written to it so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.screen.lock().unwrap().clone()
    }

    /// Types `keys`.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Changes its size, as the user does who pulls at the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.keys, size).unwrap();
        self.signal(rustix::process::Signal::WINCH);
    }

    /// Returns true if it shows what is typed, line by line, as before a program took it.
    pub fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.keys).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Sends `signal` to the command.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, signal).unwrap();
    }

    /// Everything that was shown so far, with plain line ends.
    pub fn shown(&self) -> String {
        let bytes = self.screen.lock().unwrap().clone();
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// Waits until `text` is shown, and types `keys`.
    #[track_caller]
    pub fn answer(&mut self, text: &str, keys: &str) {
        wait_or_tell(
            &format!("{text:?} is shown"),
            || self.shown().contains(text).then_some(()),
            || self.shown(),
        );
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown, and interrupts the command.
    #[track_caller]
    pub fn interrupt(&mut self, text: &str) {
        self.answer(text, "");
        self.signal(rustix::process::Signal::INT);
    }

    /// Waits for the end, and gives all that was shown.
    #[track_caller]
    pub fn end(self) -> (ExitStatus, String) {
        let (status, terminal) = self.finish();
        (status, terminal.shown())
    }

    /// Waits for the end, after which nothing more is shown.
    #[track_caller]
    pub fn finish(mut self) -> (ExitStatus, Self) {
        let screen = Arc::clone(&self.screen);
        let status = wait_or_tell(
            "the command ends",
            || self.child.try_wait().unwrap(),
            || String::from_utf8_lossy(&screen.lock().unwrap()).into_owned(),
        );
        // Nobody has the other side any more: what is left is read, and then the reading ends.
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
