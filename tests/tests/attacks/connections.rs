//! Clients that take connections and patience.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::arena::{Arena, MIB, answer};

/// Sends a head byte by byte, and a body likewise: each gets its answer (408) when its time is over, and meanwhile others are served.
#[test]
fn slow_requests_end() {
    const EACH: usize = 100;
    let arena = Arena::start(&["timeouts.header=2", "timeouts.body_idle=2"]);
    let usual = arena.honest_cost(1000);
    let mut refused = 0;
    let cost = arena.cost(|| {
        let connect = |start: &str| {
            let mut stream = TcpStream::connect(arena.address()).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            stream
        };
        let heads = (0..EACH).map(|_| connect("POST /osci HTTP/1.1\r\nHost: x\r\nX-Slow: "));
        let mut slow: Vec<TcpStream> = heads.collect();
        slow.extend((0..EACH).map(|_| connect("POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")));
        let mut round = 0;
        while !slow.is_empty() {
            arena.honest_order(round, 1000);
            round += 1;
            let (open, ended): (Vec<_>, Vec<_>) = slow.into_iter().partition(|mut stream| {
                stream.set_nonblocking(true).unwrap();
                let is_silent = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
                is_silent && stream.write_all(b"x").is_ok()
            });
            for mut stream in ended {
                stream.set_nonblocking(false).unwrap();
                refused += usize::from(answer(&mut stream).0 == 408);
            }
            slow = open;
        }
        eprintln!("{round} honest orders meanwhile");
    });
    eprintln!("{:58} {cost}", "200 slow requests, with the honest orders");
    assert!(refused > EACH, "{refused} were told that they were too slow");
    assert!(cost.memory < 32 * MIB, "{cost}, an honest order {usual}");
    arena.until_at_most("rohrpost_connections", 1.0);
}

/// So much is sent at most. What is beyond a limit is read for a moment only, so that the client sees the answer.
const ENOUGH: usize = 1 << 25;

/// A head without end, and a body without end, are cut off at the limits.
#[test]
fn endless_requests_end() {
    let arena = Arena::start(&["limits.message_bytes=8000000"]);
    arena.honest_cost(1000);
    let send = |start: &str, piece: &[u8]| {
        let mut stream = TcpStream::connect(arena.address()).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        let mut reader = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            let answer = scope.spawn(move || answer(&mut reader));
            let mut sent = 0;
            while !answer.is_finished() && sent < ENOUGH && stream.write_all(piece).is_ok() {
                sent += piece.len();
            }
            let _ = stream.shutdown(std::net::Shutdown::Write);
            (answer.join().unwrap().0, sent)
        })
    };
    let line = format!("X-More: {}\r\n", "x".repeat(1000));
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let post = "POST /osci HTTP/1.1\r\nHost: x\r\n";
    for (name, start, piece, status) in [
        ("an endless head", post.to_owned(), line.as_bytes(), 431),
        ("an endless line", format!("{post}X-More: "), [b'x'; 4096].as_slice(), 431),
        ("an endless target", "POST /".to_owned(), [b'x'; 4096].as_slice(), 431),
        ("an endless body", format!("{post}Transfer-Encoding: chunked\r\n\r\n"), chunk.as_slice(), 413),
        ("an endless chunk size", format!("{post}Transfer-Encoding: chunked\r\n\r\n"), [b'0'; 4096].as_slice(), 400),
        (
            "endless extensions of a chunk",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n1;"),
            [b'x'; 4096].as_slice(),
            400,
        ),
    ] {
        let mut found = (0, 0);
        let cost = arena.cost(|| found = send(&start, piece));
        eprintln!("{name:58} {cost}  {} after {} KiB", found.0, found.1 / 1024);
        assert!(cost.memory < 16 * MIB, "{name}: {cost}");
        // Where the connection breaks before the answer was read, there is none.
        assert!(found.0 == status || found.0 == 0, "{name}: {}", found.0);
        arena.honest_order(1, 1000);
    }
}

/// 10,000 connections of 50 addresses that ask for nothing. Whoever comes from elsewhere is served all the same.
#[test]
fn ten_thousand_idle_connections() {
    const ADDRESSES: u8 = 50;
    const EACH: usize = 200;
    let arena = Arena::start(&["timeouts.header=600"]);
    let usual = arena.honest_cost(1000);
    let server: SocketAddr = arena.address().parse().unwrap();
    let crowd = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connect = |number: u8| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 1, number), 0).into()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), socket.connect(server)).await.ok()?.ok()
    };
    let mut open = Vec::new();
    let cost = arena.cost(|| {
        for round in 0..EACH {
            open.extend(crowd.block_on(async {
                let mut streams = Vec::new();
                for number in 1..=ADDRESSES {
                    streams.extend(connect(number).await);
                }
                streams
            }));
            if round % 20 == 0 {
                arena.honest_order(round as u64, 1000);
            }
        }
        (0..10).for_each(|seed| arena.honest_order(seed, 1000));
    });
    let held = arena.metric("rohrpost_connections");
    eprintln!("{:58} {cost}  {} opened, {held} held", "10000 idle connections, with 20 honest orders", open.len());
    assert!(held <= 1000.0, "{held} are held");
    assert!(cost.memory < 64 * MIB, "{cost}");
    // A connection that is turned away costs less than a tenth of an order.
    let bound = 20 * 3 * usual.processor + usual.processor.mul_f64(0.1 * (ADDRESSES as usize * EACH) as f64);
    assert!(cost.processor < bound, "{cost}, bound {:.2} s", bound.as_secs_f64());
    drop(open);
}
