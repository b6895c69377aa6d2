use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::timeout_stream::TimeoutStream;
use super::*;

/// A connection with its stream, and the client's end, which buffers 64 bytes.
fn connected() -> (Arc<Connection>, TimeoutStream<DuplexStream>, DuplexStream) {
    let connection = Arc::new(Connection::new());
    let (ours, theirs) = duplex(64);
    (connection.clone(), TimeoutStream::new(ours, connection, Bounds::default()), theirs)
}

/// How many seconds pass until a read fails, and the error.
async fn reads_until(stream: &mut TimeoutStream<DuplexStream>) -> (u64, ErrorKind) {
    let began = Instant::now();
    let failed = stream.read_exact(&mut [0; 64]).await.unwrap_err();
    (began.elapsed().as_secs(), failed.kind())
}

/// Has the connection answer a request, as hyper and the service around the router do.
async fn answer(
    connection: &Connection,
    stream: &mut TimeoutStream<DuplexStream>,
    client: &mut DuplexStream,
) {
    client.write_all(b"GET").await.unwrap();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    connection.is_busy_now();
    connection.is_answered_now();
    stream.write_all(b"200").await.unwrap();
    stream.flush().await.unwrap();
    client.read_exact(&mut [0; 3]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_head_has_its_time_from_the_start() {
    let (_connection, mut stream, mut client) = connected();
    sleep(Duration::from_secs(10)).await;
    client.write_all(b"GET").await.unwrap();
    assert_eq!(reads_until(&mut stream).await, (5, ErrorKind::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_may_wait_for_longer_than_a_head() {
    let (connection, mut stream, mut client) = connected();
    for _ in 0..3 {
        answer(&connection, &mut stream, &mut client).await;
        assert!(connection.is_idle());
        sleep(Duration::from_secs(74)).await;
    }
    answer(&connection, &mut stream, &mut client).await;
    assert_eq!(reads_until(&mut stream).await, (75, ErrorKind::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_its_time_from_its_first_byte() {
    let (connection, mut stream, mut client) = connected();
    answer(&connection, &mut stream, &mut client).await;
    sleep(Duration::from_secs(60)).await;
    client.write_all(b"G").await.unwrap();
    assert_eq!(reads_until(&mut stream).await, (15, ErrorKind::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_worked_on_is_not_cut_off() {
    let (connection, mut stream, client) = connected();
    connection.is_busy_now();
    let (began, mut byte) = (Instant::now(), [0]);
    let reading = timeout(Duration::from_secs(600), stream.read(&mut byte));
    assert!(reading.await.is_err(), "after {:?}", began.elapsed());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_must_take_its_answer() {
    let (connection, mut stream, mut client) = connected();
    connection.is_answered_now();
    let began = Instant::now();
    let writing =
        tokio::spawn(async move { stream.write_all(&[0; 1000]).await.unwrap_err().kind() });
    // A little now and then is enough.
    for _ in 0..5 {
        sleep(Duration::from_secs(29)).await;
        client.read_exact(&mut [0; 64]).await.unwrap();
    }
    assert_eq!(writing.await.unwrap(), ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 5 * 29 + 30);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_after_the_last_answer_is_thrown_away_for_a_while() {
    for (sends, seconds) in [(b"of a body that nobody reads".as_slice(), 2), (b"", 0)] {
        let (_connection, mut stream, mut client) = connected();
        client.write_all(sends).await.unwrap();
        if sends.is_empty() {
            client.shutdown().await.unwrap();
        }
        let began = Instant::now();
        stream.shutdown().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

/// hyper tries to read before the answer has gone out, and not again after it.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_also_where_its_request_was_there_from_the_start() {
    let (connection, stream, mut client) = connected();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let service = service_fn(move |_: Request<Incoming>| {
        connection.is_busy_now();
        connection.is_answered_now();
        async { Ok::<_, Infallible>(hyper::Response::new(Body::empty())) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(None);
    tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    let (began, mut answer) = (Instant::now(), Vec::new());
    timeout(Duration::from_secs(100), client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    assert_eq!(began.elapsed().as_secs(), 75);
}

/// Clients that open many connections must not lock everyone else out, whether they stall heads,
/// bodies or answers.
#[tokio::test(start_paused = true)]
async fn a_client_that_holds_up_its_own_request_makes_room() {
    let connection = Connection::new();
    connection.is_busy_now();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(connection.makes_room(), None, "that is our time");
    connection.is_held_up(true);
    sleep(Duration::from_secs(1)).await;
    connection.is_held_up(true);
    assert_eq!(connection.makes_room(), None);
    sleep(Duration::from_secs(1)).await;
    let held_up = connection.makes_room().unwrap();
    connection.has_unread(false);
    assert_eq!(connection.makes_room(), None, "the body is there");

    let (connection, mut stream, _client) = connected();
    connection.is_busy_now();
    connection.is_answered_now();
    let writing = timeout(Duration::from_secs(3), stream.write_all(&[b'x'; 1000]));
    assert!(writing.await.is_err() && connection.makes_room().is_some());
    let idle = Connection::new();
    sleep(Duration::from_millis(250)).await;
    assert!(idle.makes_room().unwrap() < held_up, "who waits between requests goes first");
}
