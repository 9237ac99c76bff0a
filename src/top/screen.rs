//! The terminal: taken, drawn to, listened to, and given back however it ends.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::EVERY;
use super::feed::Feed;
use super::model::Look;
use super::view::{Chart, View, draw};
use crate::demo::on_signals;

/// How long a key, a signal or a new look may wait to be seen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shows the figures until a key or a signal ends it.
pub(super) fn run(feed: Feed, first: Look) -> io::Result<()> {
    let stop = on_signals()?;
    let mut view = View::default();
    view.watched.take(first);
    let looks = ask(feed)?;
    let mut terminal = ratatui::try_init()?; // a panic gives the terminal back, too
    let ended = turns(&mut terminal, &mut view, &looks, || stop.load(Ordering::SeqCst));
    ratatui::restore();
    ended
}

/// Asks again and again, away from the keys: a proxy that does not answer must not hold them up.
fn ask(feed: Feed) -> io::Result<Receiver<Result<Look, String>>> {
    let (tell, told) = mpsc::sync_channel(1);
    let asking = move || {
        loop {
            thread::sleep(EVERY);
            if tell.send(feed.look()).is_err() {
                return; // nobody looks any more
            }
        }
    };
    thread::Builder::new().name("feed".to_owned()).spawn(asking)?;
    Ok(told)
}

fn turns(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    looks: &Receiver<Result<Look, String>>,
    is_over: impl Fn() -> bool,
) -> io::Result<()> {
    while !is_over() {
        terminal.draw(|frame| draw(frame, view))?;
        if event::poll(LOOK_EVERY)?
            && let Event::Key(key) = event::read()?
            && press(view, key)
        {
            break;
        }
        while let Ok(look) = looks.try_recv() {
            if view.is_paused {
                continue;
            }
            match look {
                Ok(look) => {
                    view.trouble = None;
                    view.watched.take(look);
                }
                Err(why) => view.trouble = Some(why),
            }
        }
    }
    Ok(())
}

/// Does what a key says; `true` ends it.
pub(super) fn press(view: &mut View, key: KeyEvent) -> bool {
    if key.kind != KeyEventKind::Press {
        return false;
    }
    let last = view.watched.look.stats.backends.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('p' | ' ') => view.is_paused = !view.is_paused,
        KeyCode::Char('s') => view.sort = view.sort.next(),
        KeyCode::Char('S') => view.sort = view.sort.previous(),
        KeyCode::Char('r') => view.sort.reversed = !view.sort.reversed,
        KeyCode::Char('v') => {
            view.chart = match view.chart {
                Chart::Share => Chart::Latency,
                Chart::Latency => Chart::Share,
            }
        }
        KeyCode::Up | KeyCode::Char('k') => view.scroll = view.scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => view.scroll = (view.scroll + 1).min(last),
        _ => {}
    }
    false
}
