//! What is shown, by a terminal that is only remembered.

use super::model::{Log, Look, Stats, Watched};
use super::table::{COLUMNS, Sort, rows};
use super::text;

fn look(json: &str) -> Look {
    let stats: Stats = serde_json::from_str(json).unwrap();
    Look { stats, events: Vec::new() }
}

/// Two looks, a second apart: A had 90 of 100 requests.
fn watched() -> Watched {
    let mut watched = Watched::default();
    watched.take(look(
        r#"{"version":"0.1.0 (abc1234)","routing":"elastic","uptime_s":10.0,"requests":100,"responses":[0,0,100,0,0,0],
            "backends":[{"url":"http://10.0.0.1:8081","requests":50,"mean_ms":10.0,"share":0.5,"state":"up"},
                        {"url":"http://10.0.0.2:8082","requests":50,"mean_ms":20.0,"share":0.5,"state":"up"}]}"#,
    ));
    let mut second = look(
        r#"{"version":"0.1.0 (abc1234)","routing":"elastic","uptime_s":11.0,"requests":200,"responses":[1,0,195,0,0,4],
            "p50_ms":12.5,"ready":false,"listen":"127.0.0.1:9090","sentence":"Chose 10.0.0.1:8081.","unheard":{"of":1},
            "reused":75,"dispatched":100,"overhead_us":{"mean":21.5,"p50":null},"busy_share":null,
            "backends":[{"url":"http://10.0.0.1:8081","requests":140,"mean_ms":28.571428571428573,"errors":4,"state":"up"},
                        {"url":"http://10.0.0.2:8082","requests":60,"mean_ms":20.0,"p99_ms":1234.5,"in_flight":3,
                         "state":"ejected","why":"5 failures in a row","score":null}]}"#,
    );
    second.events = serde_json::from_str::<Log>(
        r#"{"events":[{"seq":1,"t":3722000,"kind":"start","backend":null,"text":"began"},
                      {"seq":2,"t":3723000,"kind":"ejected","backend":"http://10.0.0.2:8082","text":"5 failures in a row"}]}"#,
    )
    .unwrap()
    .events;
    watched.take(second);
    watched
}

#[test]
fn two_looks_say_what_happened_between() {
    let watched = watched();
    assert_eq!((watched.rate, watched.error_rate, watched.reuse()), (100.0, 5.0, Some(0.75)));
    let last = watched.last("http://10.0.0.1:8081").unwrap();
    assert_eq!((last.rate, last.share), (90.0, 0.9));
    assert!((last.mean_ms.unwrap() - 38.9).abs() < 0.1, "{last:?}");
}

#[test]
fn a_proxy_that_starts_again_starts_the_history_again() {
    let mut watched = watched();
    watched.take(look(r#"{"uptime_s":2.0,"requests":10,"backends":[{"url":"a","requests":10}]}"#));
    assert_eq!((watched.rate, watched.history.len()), (5.0, 0));
    watched.take(look(r#"{"uptime_s":2.0,"requests":10,"backends":[{"url":"a","requests":10}]}"#));
    assert!(!watched.is_recent && text::page(&watched).contains("req/s since the start 5.0"));
    assert_eq!((watched.rate, watched.history.len()), (5.0, 0), "the same look again says nothing");
    watched.take(look(r#"{"uptime_s":3.0,"requests":10,"backends":[]}"#));
    assert_eq!((watched.rate, watched.history.len()), (0.0, 0));
}

#[test]
fn rows_sort_by_any_column_either_way() {
    let watched = watched();
    let first = |sort| rows(&watched, sort)[0].backend.url.clone();
    let by = |title: &str| Sort {
        column: COLUMNS.iter().position(|column| column.title == title),
        reversed: false,
    };
    assert_eq!(first(Sort::default()), "http://10.0.0.1:8081");
    for (title, expected) in
        [("state", "8082"), ("flight", "8082"), ("share", "8081"), ("errors", "8081"), ("p99 ms", "8082")]
    {
        assert!(first(by(title)).ends_with(expected), "{title}");
        assert!(!first(Sort { reversed: true, ..by(title) }).ends_with(expected), "{title} reversed");
    }
    let mut sort = Sort::default();
    for _ in 0..=COLUMNS.len() {
        sort = sort.next();
    }
    assert_eq!(sort, Sort::default());
}

#[test]
fn the_plain_table_has_it_all() {
    let page = text::page(&watched());
    for part in [
        "tidegate 0.1.0 (abc1234) · 127.0.0.1:9090 · elastic · up 11 s · draining",
        "req/s 100.0  errors/s 5.0",
        "reuse 75.0%  own µs 21.5",
        "10.0.0.2:8082   ejected",
        "5 failures in a row",
        "Chose 10.0.0.1:8081.",
        "01:02:02Z  start         -              began",
        "01:02:03Z  ejected       10.0.0.2:8082  5 failures in a row",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    let empty = text::page(&Watched::default());
    assert!(empty.starts_with("tidegate") && empty.contains("req/s since the start 0.0"), "{empty}");
}

#[cfg(feature = "tui")]
mod terminal {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::model::Change;
    use super::super::screen::press;
    use super::super::view::{Chart, View, bars, draw};
    use super::watched;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines = buffer.content().chunks(usize::from(width));
        lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn a_wide_terminal_shows_all_of_it() {
        let screen = drawn(&View { watched: watched(), ..View::default() }, 140, 30);
        for part in [
            "tidegate 0.1.0 (abc1234)",
            "draining",
            "req/s 100.0",
            "Chose 10.0.0.1:8081.",
            "10.0.0.1:8081",
            "90.0%",
            "38.9",
            "1234",
            "ejected",
            "share, 0 to 100%",
            "█",
            "01:02:03Z  ejected       10.0.0.2:8082  5 failures",
            "q quit",
            "by the configuration's order",
        ] {
            assert!(screen.contains(part), "no {part:?} in\n{screen}");
        }
    }

    #[test]
    fn no_size_is_too_small() {
        let view = View { watched: watched(), trouble: Some("refused".to_owned()), ..View::default() };
        for (width, height) in [(1, 1), (2, 40), (20, 5), (40, 10), (80, 24), (300, 100)] {
            drawn(&view, width, height);
        }
        let narrow = drawn(&view, 60, 24);
        assert!(narrow.contains("share") && !narrow.contains("score"), "{narrow}");
        assert!(narrow.contains("No newer figures: refused"), "{narrow}");
        drawn(&View::default(), 80, 24);
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        let mut view = View { watched: watched(), ..View::default() };
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        for code in ['p', 's', 'r', 'v', 'j', 'j', 'x'] {
            assert!(!press(&mut view, key(KeyCode::Char(code))));
        }
        assert!(view.is_paused && view.sort.reversed && view.chart == Chart::Latency);
        assert_eq!((view.sort.column, view.scroll), (Some(0), 1));
        let screen = drawn(&view, 140, 30);
        assert!(screen.contains("PAUSED") && screen.contains("by state, reversed"), "{screen}");
        assert!(screen.contains("mean, 0 to 38.9 ms") && !screen.contains("10.0.0.2:8082   "), "{screen}");
        press(&mut view, key(KeyCode::Char('S')));
        assert_eq!(view.sort.column, None);
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert!(press(&mut view, key(code)));
        }
        assert!(press(&mut view, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!press(&mut view, key(KeyCode::Char('c'))));
    }

    #[test]
    fn bars_are_as_high_as_their_share() {
        let at = |share, mean_ms| Change { rate: 1.0, share, mean_ms };
        let past = [at(0.0, None), at(0.001, Some(1.0)), at(0.5, Some(4.0)), at(1.0, Some(8.0))];
        assert_eq!(bars(&past, Chart::Share, 8.0, 6), "   ▁▄█");
        assert_eq!(bars(&past, Chart::Latency, 8.0, 3), "▁▄█");
        assert_eq!(bars(&past, Chart::Latency, 0.0, 0), "");
    }
}
