//! An HTTP/1.1 answer, found in what was read so far (RFC 9112).

use std::borrow::Cow;

/// Headers that an answer may have.
const HEADERS: usize = 64;

/// A whole answer.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) body: Cow<'a, [u8]>,
    /// Whether the connection can be used again.
    pub(super) keeps: bool,
}

/// How the end of a body is known.
enum Body {
    Sized(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    length: usize,
    body: Body,
    keeps: bool,
}

impl<'a> Response<'a> {
    /// The answer, once it is whole. `closed` is whether nothing more will come.
    ///
    /// # Errors
    /// This is no HTTP.
    pub(super) fn find(read: &'a [u8], closed: bool) -> Result<Option<Self>, &'static str> {
        let Some(head) = Head::find(read)? else {
            return Ok(None);
        };
        let rest = &read[head.length..];
        // An interim answer; the final one follows.
        if (100..200).contains(&head.status) {
            return Self::find(rest, closed);
        }
        let body = match head.body {
            Body::Sized(length) => rest.get(..length).map(Cow::Borrowed),
            Body::Chunked => unchunked(rest)?.map(Cow::Owned),
            Body::UntilClose => closed.then_some(Cow::Borrowed(rest)),
        };
        Ok(body.map(|body| Self { status: head.status, body, keeps: head.keeps }))
    }
}

impl Head {
    fn find(read: &[u8]) -> Result<Option<Self>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(read).map_err(|_| "what it answers is no HTTP")? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let status = response.code.unwrap_or_default();
        let mut keeps = response.version == Some(1);
        let mut body = Body::UntilClose;
        for header in response.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                // RFC 9112 section 6.3: chunks win over a length.
                if !matches!(body, Body::Chunked) {
                    body =
                        Body::Sized(value.parse().map_err(|_| "its Content-Length is no number")?);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                body = Body::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection")
                && value.eq_ignore_ascii_case("close")
            {
                keeps = false;
            }
        }
        if matches!(status, 204 | 304) {
            body = Body::Sized(0);
        }
        keeps &= !matches!(body, Body::UntilClose);
        Ok(Some(Self { status, length, body, keeps }))
    }
}

/// The chunks put together, once the last one is there.
fn unchunked(mut read: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const WRONG: &str = "its chunks are no HTTP";
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(read).map_err(|_| WRONG)? {
            httparse::Status::Complete(chunk) => chunk,
            httparse::Status::Partial => return Ok(None),
        };
        read = &read[start..];
        if size == 0 {
            // Trailers, of which nothing is wanted, to the empty line.
            let mut trailers = [httparse::EMPTY_HEADER; HEADERS];
            let whole =
                httparse::parse_headers(read, &mut trailers).map_err(|_| WRONG)?.is_complete();
            return Ok(whole.then_some(body));
        }
        let size = usize::try_from(size).map_err(|_| WRONG)?;
        let Some((chunk, rest)) = read.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        match rest {
            [b'\r', b'\n', rest @ ..] => read = rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(WRONG),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(read: &str, closed: bool) -> (u16, String, bool) {
        // Nothing is taken for an answer before its last byte is there.
        for end in 0..read.len() {
            assert_eq!(
                Response::find(&read.as_bytes()[..end], false).unwrap(),
                None,
                "after {end} bytes"
            );
        }
        let answer = Response::find(read.as_bytes(), closed).unwrap().unwrap();
        (answer.status, String::from_utf8(answer.body.into_owned()).unwrap(), answer.keeps)
    }

    #[test]
    fn with_a_length() {
        assert_eq!(
            whole("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
            (200, "hello".into(), true)
        );
        assert_eq!(
            whole(
                "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nConnection: Close\r\n\r\n{}",
                false
            ),
            (400, "{}".into(), false)
        );
        assert_eq!(
            whole("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
            (200, "x".into(), false)
        );
    }

    #[test]
    fn in_chunks() {
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(whole(chunks, false), (200, "hello world".into(), true));
        let both = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        assert_eq!(whole(both, false), (200, "x".into(), true));
    }

    #[test]
    fn to_the_end_of_the_connection() {
        assert_eq!(
            whole("HTTP/1.1 200 OK\r\n\r\nall of it", true),
            (200, "all of it".into(), false)
        );
        assert_eq!(
            Response::find(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true),
            Ok(None)
        );
    }

    #[test]
    fn without_a_body_and_after_an_interim_one() {
        assert_eq!(whole("HTTP/1.1 204 No Content\r\n\r\n", false), (204, String::new(), true));
        let after = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(whole(after, false), (200, "ok".into(), true));
    }

    #[test]
    fn no_http() {
        assert!(Response::find(b"SSH-2.0-OpenSSH_9.2\r\n", false).is_err());
        assert!(Response::find(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", false).is_err());
        assert!(
            Response::find(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
                false
            )
            .is_err()
        );
    }
}
