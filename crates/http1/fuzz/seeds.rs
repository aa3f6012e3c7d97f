//! Writes the conformance transcripts, each with a script, into the corpus of the `conn` target.

use std::io;
use std::path::Path;

use conformance::{Step, table};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/conn");
    std::fs::create_dir_all(&corpus)?;
    for (nth, transcript) in table().iter().enumerate().filter(|(_, transcript)| transcript.len() <= 2000) {
        let script: Vec<u8> = (0..nth % 16).map(|step| (step * 37 + nth) as u8).collect();
        let mut input = vec![script.len() as u8];
        input.extend(script);
        for step in &transcript.steps {
            if let Step::Send(bytes) = step {
                input.extend_from_slice(bytes);
            }
        }
        std::fs::write(corpus.join(format!("transcript-{nth}")), input)?;
    }
    Ok(())
}
