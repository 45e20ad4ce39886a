//! As much HTTP/1.1 as a load generator needs, and no more CPU than that.

use std::io::{self, IoSlice, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where requests go.
pub(crate) const PATH: &str = "/osci";

/// A connection that is kept open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Whether it said when to come back.
    pub(crate) retry_after: bool,
    /// Whether the connection cannot be used again.
    pub(crate) closed: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Sends a body and takes the whole answer.
    pub(crate) fn post(&mut self, body: &[u8]) -> io::Result<Reply> {
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut parts = [IoSlice::new(head.as_bytes()), IoSlice::new(body)];
        let mut rest = &mut parts[..];
        while !rest.is_empty() {
            match self.stream.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                // Refused before all was sent: the answer says why.
                Err(error) if is_broken(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.answer()
    }

    /// Sends what `write` writes, in chunks, and takes the whole answer.
    pub(crate) fn stream(mut self, write: impl FnOnce(Chunks) -> io::Result<Chunks>) -> io::Result<Reply> {
        let head = format!("POST {PATH} HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        let chunks = Chunks { stream: self.stream.try_clone()?, buffer: Vec::with_capacity(CHUNK) };
        write(chunks)?.finish()?;
        self.answer()
    }

    /// The text of a page.
    pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    fn answer(&mut self) -> io::Result<Reply> {
        let mut have = 0;
        let (head_end, reply, length) = loop {
            let read = self.stream.read(&mut self.buffer[have..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            have += read;
            if let Some(end) = memchr::memmem::find(&self.buffer[..have], b"\r\n\r\n") {
                let (reply, length) = parse(&self.buffer[..end])?;
                break (end + 4, reply, length);
            }
        };
        let mut left = length.saturating_sub(have - head_end);
        while left > 0 {
            let room = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..room])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
        }
        Ok(reply)
    }
}

fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn parse(head: &[u8]) -> io::Result<(Reply, usize)> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let head = std::str::from_utf8(head).map_err(|_| malformed())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let mut reply = Reply { status, retry_after: false, closed: false };
    let mut length = 0;
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|_| malformed())?,
            "retry-after" => reply.retry_after = true,
            "connection" => reply.closed = value.trim().eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Ok((reply, length))
}

const CHUNK: usize = 256 * 1024;

/// Writes a body whose length nobody knows beforehand.
pub(crate) struct Chunks {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Chunks {
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.stream.write_all(b"0\r\n\r\n")
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        write!(self.stream, "{:x}\r\n", self.buffer.len())?;
        self.buffer.extend_from_slice(b"\r\n");
        self.stream.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_understood() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\ncontent-length: 12\r\nConnection: close";
        let (reply, length) = parse(head).unwrap();
        assert_eq!((reply.status, reply.retry_after, reply.closed, length), (503, true, true, 12));
        assert!(parse(b"nonsense").is_err());
    }
}
