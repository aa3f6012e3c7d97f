//! Files, read by helper threads: node's `fs.createReadStream(path).pipe(response)`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use driver::{Calls, Piece, SendFile};
use http::FileRange;

use crate::queue_work;

/// The most bytes of one read, as in node (its documentation, `fs.createReadStream`, `highWaterMark`).
const CHUNK: u64 = 64 << 10;

/// The files that go out to connections, whose keys know them.
pub struct Files {
    calls: Calls,
    chunks: Rc<RefCell<Chunks>>,
}

#[derive(Default)]
struct Chunks {
    by_key: HashMap<u64, Chunk>,
    /// Keys whose chunk has just been read.
    read: Vec<u64>,
}

enum Chunk {
    Reading,
    Read(io::Result<Piece>),
}

impl Files {
    /// None is under way.
    pub fn new(calls: Calls) -> Files {
        Files { calls, chunks: Rc::default() }
    }

    /// Keys of the connections that can go on.
    pub fn read(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.chunks.borrow_mut().read)
    }

    fn start(&self, key: u64, range: FileRange<'_>) {
        let FileRange { file, offset, len } = range;
        let file = Arc::clone(file);
        let read = move || {
            let mut bytes = vec![0; len.min(CHUNK) as usize];
            let n = file.read_at(&mut bytes, offset)?;
            bytes.truncate(n);
            Ok(bytes)
        };
        let chunks = Rc::clone(&self.chunks);
        queue_work(read, move |bytes| {
            let Chunks { by_key, read } = &mut *chunks.borrow_mut();
            if let Some(chunk) = by_key.get_mut(&key) {
                *chunk = Chunk::Read(bytes.map(Piece::new));
                read.push(key);
            }
        });
    }
}

impl SendFile for Files {
    fn send(&mut self, key: u64, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        let chunks = &mut self.chunks.borrow_mut().by_key;
        match chunks.remove(&key) {
            None => {
                self.start(key, range);
                chunks.insert(key, Chunk::Reading);
                Ok(None)
            }
            Some(Chunk::Reading) => {
                chunks.insert(key, Chunk::Reading);
                Ok(None)
            }
            Some(Chunk::Read(piece)) => {
                let mut piece = piece?;
                let n = piece.send(self.calls, socket, range);
                if !piece.is_sent() {
                    chunks.insert(key, Chunk::Read(Ok(piece)));
                }
                n.map(Some)
            }
        }
    }

    fn gone(&mut self, key: u64) {
        self.chunks.borrow_mut().by_key.remove(&key);
    }
}
