//! Files, read by helper threads: node's `fs.createReadStream(path).pipe(response)`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use driver::{Calls, FileChunk, Id, SendFile};
use http1::FileRange;

use crate::queue_work;

/// The most bytes of one read, as in node (its documentation, `fs.createReadStream`, `highWaterMark`).
const CHUNK: u64 = 64 << 10;

/// The files that go out to the connections of the loop.
pub struct Files {
    calls: Calls,
    chunks: Rc<RefCell<Chunks>>,
}

#[derive(Default)]
struct Chunks {
    by_id: HashMap<Id, Chunk>,
    /// The connections whose chunk has just been read.
    read: Vec<Id>,
}

enum Chunk {
    Reading,
    Read(io::Result<FileChunk>),
}

impl Files {
    /// No file goes out yet.
    pub fn new(calls: Calls) -> Files {
        Files { calls, chunks: Rc::default() }
    }

    /// The connections whose chunk has been read since the last call.
    pub fn take_read(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.chunks.borrow_mut().read)
    }

    fn start(&self, id: Id, range: FileRange<'_>) {
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
            let Chunks { by_id, read } = &mut *chunks.borrow_mut();
            if let Some(chunk) = by_id.get_mut(&id) {
                *chunk = Chunk::Read(bytes.map(FileChunk::new));
                read.push(id);
            }
        });
    }
}

impl SendFile for Files {
    fn send(&mut self, id: Id, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        let chunks = &mut self.chunks.borrow_mut().by_id;
        match chunks.remove(&id) {
            None => {
                self.start(id, range);
                chunks.insert(id, Chunk::Reading);
                Ok(None)
            }
            Some(Chunk::Reading) => {
                chunks.insert(id, Chunk::Reading);
                Ok(None)
            }
            Some(Chunk::Read(chunk)) => {
                let mut chunk = chunk?;
                let sent = chunk.send(self.calls, socket, range);
                if !chunk.is_sent() {
                    chunks.insert(id, Chunk::Read(Ok(chunk)));
                    return sent.map(Some);
                }
                let sent = sent?;
                if let Some(rest) = range.after(sent).filter(|_| sent > 0) {
                    self.start(id, rest); // a helper thread need not wait for the connection's next turn
                    chunks.insert(id, Chunk::Reading);
                }
                Ok(Some(sent))
            }
        }
    }

    fn closed(&mut self, id: Id) {
        self.chunks.borrow_mut().by_id.remove(&id);
    }
}
