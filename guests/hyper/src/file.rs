//! A file as the body of an answer: tokio reads it piece by piece, in its threads for blocking calls.

use std::io;
use std::path::{Component, Path};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// The most that is read at a time, in bytes. Each read is a task for another thread, so small pieces would cost more.
const PIECE: u64 = 256 << 10;

/// The rest of a file, of which so many bytes were promised.
pub struct FileBody {
    file: File,
    left: u64,
}

/// Opens the file of that name in a directory.
///
/// # Errors
/// There is no such file, or the name denotes anything else.
pub async fn open(directory: &Path, name: &str) -> io::Result<FileBody> {
    let name = Path::new(name);
    if !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(directory.join(name)).await?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(FileBody { file, left: meta.len() })
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; self.left.min(PIECE) as usize];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.file).poll_read(context, &mut buffer))?;
        let filled = buffer.filled().len();
        if filled == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))); // the file has become shorter
        }
        piece.truncate(filled);
        self.left -= filled as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
