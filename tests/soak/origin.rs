//! An origin whose answers can be computed: `/how/id/len`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::support::message;

/// The body that goes with a number.
pub fn pattern(id: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (id.wrapping_mul(31) + at * 7 + at / 251) as u8).collect()
}

pub fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            // What fails here is a connection that the proxy has closed.
            std::thread::spawn(move || serve(stream).is_ok());
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let Some(head_len) = fill(&mut stream, &mut buffer, message::head_len)? else { return Ok(()) };
        let head: Vec<u8> = buffer.drain(..head_len).collect();
        let text = String::from_utf8(head.clone()).expect("a head in ASCII");
        let mut words = text.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let parts: Vec<&str> = target.split('/').collect();
        let (how, id, len) = (parts[1], parts[2].parse().unwrap(), parts[3].parse().unwrap());
        if message::field(&head, "Expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let Some(body_len) = fill(&mut stream, &mut buffer, |bytes| message::request_body_len(&head, bytes))?
        else {
            return Ok(());
        };
        let raw: Vec<u8> = buffer.drain(..body_len).collect();
        if how == "tunnel" {
            return echo(stream);
        }
        let sent = match message::field(&head, "Transfer-Encoding") {
            Some(_) => message::chunked(&raw).expect("whole").1,
            None => raw,
        };
        answer(&mut stream, (method, how), pattern(id, len), sent)?;
        if matches!(how, "close" | "last") {
            return Ok(());
        }
    }
}

fn answer(
    stream: &mut TcpStream,
    (method, how): (&str, &str),
    body: Vec<u8>,
    sent: Vec<u8>,
) -> std::io::Result<()> {
    let mut out = Vec::new();
    match how {
        "none" => out.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "chunks" => {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(5000) {
                write!(out, "{:x};x=y\r\n", piece.len())?;
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\nX-Trailer: t\r\n\r\n");
        }
        "close" => {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
            out.extend_from_slice(&body);
        }
        _ => {
            if how == "interim" {
                out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
            }
            let body = if how == "echo" { sent } else { body };
            let last = if how == "last" { "Connection: close\r\n" } else { "" };
            write!(out, "HTTP/1.1 200 OK\r\n{last}Content-Length: {}\r\n\r\n", body.len())?;
            if method != "HEAD" {
                out.extend_from_slice(&body);
            }
        }
    }
    stream.write_all(&out)
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
    let mut piece = [0; 8192];
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => stream.write_all(&piece[..count])?,
        }
    }
}

/// Reads until `enough` gives a length; `None` when the connection ends first.
fn fill(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> Option<usize>,
) -> std::io::Result<Option<usize>> {
    let mut piece = [0; 64 * 1024];
    loop {
        if let Some(len) = enough(buffer) {
            return Ok(Some(len));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&piece[..count]),
        }
    }
}
