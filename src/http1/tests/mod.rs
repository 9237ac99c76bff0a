//! Tables and properties of the parsers: every row is read whole, from every prefix, and with bytes behind it.

mod again;
mod chunked;
mod persist;
mod properties;
mod request;
mod request_line;
mod response;
mod rewrite_request;
mod rewrite_response;
mod sections;

use super::Parsed;

/// The law of every head parser. It says `Complete` of the row, of the row with more behind it, and of no prefix; or it
/// refuses the row with `expected`, says of each prefix `Partial` or the same, and never takes a refusal back.
fn check<E: Copy + PartialEq + std::fmt::Debug>(
    mut read: impl FnMut(&[u8]) -> Result<Parsed, E>,
    bytes: &[u8],
    expected: Result<(), E>,
) {
    let shown = bytes.escape_ascii();
    let whole = expected.map(|()| Parsed::Complete(bytes.len()));
    let mut refused = false;
    for len in 0..bytes.len() {
        match read(&bytes[..len]) {
            Ok(Parsed::Partial) => assert!(!refused, "took a refusal back at {len}: {shown}"),
            Ok(Parsed::Complete(_)) => panic!("complete at {len}: {shown}"),
            Err(error) => {
                assert_eq!(Err(error), expected, "at {len}: {shown}");
                refused = true;
            }
        }
    }
    assert_eq!(read(bytes), whole, "{shown}");
    for behind in ["G", "\r\n", "\n", "GET / HTTP/1.1\r\n\r\n", "\0\u{ff} x: y\r\n\r\n"] {
        let longer = [bytes, behind.as_bytes()].concat();
        assert_eq!(read(&longer), whole, "with {behind:?} behind: {shown}");
    }
}
