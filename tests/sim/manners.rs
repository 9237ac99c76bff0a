//! What origins and clients do that HTTP does not allow, or allows and few do: one manner per backend, as one server
//! behaves alike on all its connections.
//!
//! No proxy can see everything coming. So that the promise can be kept at all, a body that comes late comes sooner than
//! the rest of a connection after a HEAD ends ([`LATE_MAX`]), and an origin leaves the content of a POST unread only
//! where nobody is trusted to read it (`--pool-trust strict`): elsewhere that is learned from the first client who
//! suffers by it.

use std::sync::OnceLock;
use std::time::Duration;

use tidegate::config::Trust;

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Content follows the head of an answer to HEAD, or of a 304, a moment later.
    LateBodies,
    /// Content of a method that defines none is left unread, and then taken for a request.
    Unread,
    /// The same of any method, where trust is strict.
    UnreadPosts,
    /// After an Upgrade declined the connection is no good any more.
    Declines,
    /// After a refusal (400 and the like) the connection is silent, or says something that nobody asked for.
    Refuses,
    /// Each answer is the last of its connection and does not say so.
    Curt,
    /// Bytes come behind the end of an answer.
    Surplus,
    /// The answer comes before the request is here, which is read to its end all the same.
    Early,
    /// An answer takes long, and 102s come until it does.
    Working,
    /// Clients log in, for as long as the connection lasts.
    Logins,
    /// Clients leave when they have sent what they had to send.
    Leaving,
    /// Uploads are long.
    LongUploads,
}

/// All of them, by the name `TIDEGATE_SIM_QUIRKS` knows them by. Where the proxy does not yet do what it must about one,
/// that one can be switched off here.
const SWITCHES: [(Quirk, &str, bool); 12] = [
    (Quirk::LateBodies, "late", true),
    (Quirk::Unread, "unread", true),
    (Quirk::UnreadPosts, "posts", true),
    (Quirk::Declines, "upgrade", true),
    (Quirk::Refuses, "refuse", true),
    (Quirk::Curt, "curt", true),
    (Quirk::Surplus, "surplus", true),
    (Quirk::Early, "early", true),
    (Quirk::Working, "working", true),
    (Quirk::Logins, "login", true),
    (Quirk::Leaving, "leave", true),
    (Quirk::LongUploads, "long", true),
];

/// How late a body is at most. A connection rests for 20 ms before another client may have it.
pub const LATE_MAX: Duration = Duration::from_millis(15);

/// Statuses after which some servers keep a connection open and do nothing more on it. The last ones count against a
/// backend, which nothing does in fair weather.
pub const REFUSALS: [u16; 7] = [400, 408, 413, 414, 431, 501, 505];
pub const REFUSALS_FAIR: usize = 5;

/// What follows some answers: nobody must ever see it.
pub const STRAY: &str = "HTTP/1.1 200 OK\r\nX-Id: 999999\r\nContent-Length: 2\r\n\r\nno";

/// Whether it is to be met with. `TIDEGATE_SIM_QUIRKS=late,login` has these only, and an empty one none.
pub fn is_on(quirk: Quirk) -> bool {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("TIDEGATE_SIM_QUIRKS").ok());
    SWITCHES.iter().any(|(known, name, on)| {
        *known == quirk && chosen.as_ref().map_or(*on, |chosen| chosen.split(',').any(|word| word == *name))
    })
}

/// How often each was met with, in the order of [`Quirk`].
pub type Met = [u32; SWITCHES.len()];

/// Fails unless each that is on was met with.
pub fn check_met(met: &Met) {
    for (quirk, name, _) in SWITCHES.iter().filter(|(quirk, _, _)| is_on(*quirk)) {
        assert!(met[*quirk as usize] > 0, "{name} was never met with");
    }
    println!("met with: {:?}", SWITCHES.map(|(quirk, name, _)| (name, met[quirk as usize])));
}

/// Which of them the server of one backend has; `None` for one that keeps to HTTP.
pub fn draw(trust: Trust, rng: &mut fastrand::Rng) -> Option<Quirk> {
    let of_origins = [
        Quirk::LateBodies,
        Quirk::Unread,
        Quirk::UnreadPosts,
        Quirk::Declines,
        Quirk::Refuses,
        Quirk::Curt,
        Quirk::Surplus,
        Quirk::Early,
        Quirk::Working,
    ];
    let may_be = |quirk: &Quirk| is_on(*quirk) && (*quirk != Quirk::UnreadPosts || trust == Trust::Strict);
    let choice: Vec<Quirk> = of_origins.into_iter().filter(may_be).collect();
    let is_odd = rng.u8(..3) > 0 && trust != Trust::Always;
    if is_odd { rng.choice(choice) } else { None }
}

/// How a spoiled connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiled {
    /// Everything is read and nothing is said.
    Silent,
    /// What comes next is no request to this server, and it says so.
    Complaining,
}
