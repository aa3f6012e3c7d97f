//! The app's replies as axum's.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use app::{Body, imf_fixdate};
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, DATE, LAST_MODIFIED, SERVER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes of one read of a file. Each connection has one chunk of that size in memory.
const CHUNK: u64 = 64 << 10;

/// A reply of the app, for axum. hyper adds Date, Content-Length and Connection.
pub struct Reply(pub app::Reply);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let app::Reply { status, content_type, fields, body, .. } = self.0;
        let has_type = !content_type.is_empty() && !matches!(body, Body::None);
        let mut response = Response::new(match body {
            Body::None => axum::body::Body::empty(),
            Body::Bytes(bytes) => axum::body::Body::from(bytes),
            Body::File { file, offset, len } => axum::body::Body::new(Chunks { file, offset, left: len, read: None }),
        });
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let out = response.headers_mut();
        out.insert(SERVER, HeaderValue::from_static("io-models"));
        if has_type {
            out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in fields {
            // The app sets valid fields only; an invalid one would be left out.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                out.append(name, value);
            }
        }
        // hyper's Date may be of the second before, and Last-Modified must not be later than Date (RFC 9110, 8.8.2.1).
        if out.contains_key(LAST_MODIFIED)
            && let Ok(date) = HeaderValue::from_bytes(&imf_fixdate(Instant::now()))
        {
            out.insert(DATE, date);
        }
        response
    }
}

/// A file, read chunk by chunk on tokio's blocking threads: a regular file always counts as ready, even if the disk is not.
struct Chunks {
    file: Arc<File>,
    offset: u64,
    left: u64,
    read: Option<JoinHandle<io::Result<Bytes>>>,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Chunks { file, offset, left, read } = &mut *self;
        let (file, offset, len) = (file, *offset, CHUNK.min(*left) as usize);
        let reading = read.get_or_insert_with(|| {
            let file = Arc::clone(file);
            spawn_blocking(move || read_at(&file, offset, len))
        });
        let bytes = ready!(Pin::new(reading).poll(cx))??;
        self.read = None;
        self.offset += bytes.len() as u64;
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// pread(2). A file that has shrunk cannot give what was promised: the connection is then cut.
fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut chunk = vec![0; len];
    match file.read_at(&mut chunk, offset)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        n => {
            chunk.truncate(n);
            Ok(chunk.into())
        }
    }
}
