//! The terminal: taken, drawn on, and given back.
//!
//! **Invariant:** it is given back once, also by a panic.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color as CellColor, Modifier};
use ratatui_core::terminal::{Frame, Terminal};
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;

use super::messages::Key;

/// Keys that may wait, such as those of a text that is pasted.
const KEYS_MAX: usize = 256;

/// Time in which a stop comes into effect.
const STOP_TIME: Duration = Duration::from_millis(20);

/// True while the terminal is taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken.
pub(super) struct Screen {
    terminal: Terminal<Crossterm>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            usual(panic);
        }));
        take()?;
        let backend = Crossterm {
            to: BufWriter::with_capacity(1 << 16, io::stdout()),
        };
        match Terminal::new(backend) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    pub(super) fn draw<T: Default>(
        &mut self,
        render: impl FnOnce(&mut Frame<'_>) -> T,
    ) -> io::Result<T> {
        let mut shown = T::default();
        self.terminal.draw(|frame| shown = render(frame))?;
        Ok(shown)
    }

    /// Leaves the terminal to the shell until that continues this process.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_current_process_group(Signal::TSTP)?;
        // Another thread may be the one that the kernel stops first.
        std::thread::sleep(STOP_TIME);
        take()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    IS_TAKEN.store(true, Ordering::SeqCst);
    let taken = terminal::enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide));
    if taken.is_err() {
        give_back();
    }
    taken
}

/// Gives the terminal back, as far as it is still there.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(
            io::stdout(),
            ResetColor,
            EnableLineWrap,
            LeaveAlternateScreen,
            Show
        );
        let _ = terminal::disable_raw_mode();
    }
}

/// Input from the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Key(Key),
    Resized,
}

/// Returns the inputs from now on. They end with the terminal.
pub(super) fn inputs() -> mpsc::Receiver<Input> {
    let (tell, inputs) = mpsc::channel(KEYS_MAX);
    // It waits in a read, which only the end of the process ends.
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let input = match event {
                event::Event::Key(key) => key_of(key).map(Input::Key),
                event::Event::Resize(..) => Some(Input::Resized),
                _ => None,
            };
            if let Some(input) = input
                && tell.blocking_send(input).is_err()
            {
                break;
            }
        }
    });
    inputs
}

fn key_of(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char(c) if is_control => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace | KeyCode::Delete => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}

/// Backend of the drawing library: the few things that the dashboard draws.
///
/// The one of the library takes five seconds to compile, most of them for macros.
struct Crossterm {
    to: BufWriter<Stdout>,
}

impl Crossterm {
    fn style(&mut self, cell: &Cell) -> io::Result<()> {
        queue!(self.to, SetAttribute(Attribute::Reset))?;
        let attributes = [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ];
        for (modifier, attribute) in attributes {
            if cell.modifier.contains(modifier) {
                queue!(self.to, SetAttribute(attribute))?;
            }
        }
        let color = match cell.fg {
            CellColor::Green => Color::DarkGreen,
            CellColor::Yellow => Color::DarkYellow,
            CellColor::Red => Color::DarkRed,
            _ => return Ok(()),
        };
        queue!(self.to, SetForegroundColor(color))
    }
}

impl Backend for Crossterm {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Where the cursor is, as far as that is certain.
        let mut cursor = None;
        let mut style = None;
        for (x, y, cell) in content {
            if cursor != Some((x, y)) {
                queue!(self.to, MoveTo(x, y))?;
            }
            if style != Some((cell.fg, cell.modifier)) {
                self.style(cell)?;
                style = Some((cell.fg, cell.modifier));
            }
            queue!(self.to, Print(cell.symbol()))?;
            // Terminals disagree about the width of other characters.
            cursor = cell.symbol().is_ascii().then_some((x + 1, y));
        }
        queue!(self.to, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.to, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.to, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Asking the terminal would take an answer from among the keys.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.to, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        execute!(self.to, terminal::Clear(terminal::ClearType::All))
    }

    fn clear_region(&mut self, _: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
