//! The flags of `lab disk`, besides those of a run.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use results::cache::Cache;

/// What `lab disk` is asked for.
#[derive(Debug, Args)]
pub struct DiskFlags {
    /// Where the files are before each trial: 'cold', on the disk alone; 'hot', in memory; 'thrash', in memory as far as they have
    /// room, which is less than they need; a list, or repeated
    #[arg(long, value_name = "STATE", value_delimiter = ',', default_value = "cold",
        value_parser = PossibleValuesParser::new(Cache::ALL.map(Cache::name)).map(|word| cache(&word)))]
    pub cache: Vec<Cache>,
    /// Bytes of each file; a list makes several sets of files. Suffixes k, M and G (of 1000 bytes)
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "100k")]
    pub size: Vec<Bytes>,
    /// Files of 100 kB and of 1 MB, in each state that this machine's memory allows; in half an hour at most
    #[arg(long, conflicts_with_all = ["cache", "size"])]
    pub all: bool,
    /// Bytes of all files of a size. It has to be more than the servers can send within a trial
    #[arg(long, value_name = "BYTES", default_value = "4G", conflicts_with = "files")]
    pub set: Bytes,
    /// Number of files of a size, instead of --set
    #[arg(long, value_name = "N")]
    pub files: Option<usize>,
    /// Directory on the disk that is measured. The files are made there
    #[arg(long, value_name = "DIR", default_value = "disk-files", env = "DISK_DIR")]
    pub dir: PathBuf,
    /// Keep the files at the end, for the next run. Without it, files that this run has made are removed
    #[arg(long)]
    pub keep: bool,
    /// If the program runs as root, it takes the identity of the owner of the --results folder, or of this file's owner if
    /// root owns the folder
    #[arg(long, value_name = "FILE", hide = true, env = "DISK_OWNER")]
    pub owner: Option<PathBuf>,
}

fn cache(word: &str) -> Cache {
    Cache::ALL.into_iter().find(|state| state.name() == word).unwrap_or(Cache::Cold)
}

/// A number of bytes, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// How it was written: `100k`.
    pub text: String,
    /// The number.
    pub number: u64,
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor: u64 = match &text[digits.len()..] {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            _ => return Err("write a number of bytes, as in 100k, 1M or 4G".into()),
        };
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).filter(|&n| n > 0);
        let number = number.ok_or("write a number of bytes above 0, as in 100k, 1M or 4G")?;
        Ok(Bytes { text: text.into(), number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_with_suffixes_of_thousands() {
        for (text, number) in [("1", 1), ("100k", 100_000), ("4G", 4_000_000_000), ("1M", 1_000_000)] {
            assert_eq!(text.parse::<Bytes>().map(|bytes| bytes.number), Ok(number));
        }
        for text in ["", "k", "0", "-1", "1.5M", "4 G", "1T", "99999999999999999999"] {
            assert!(text.parse::<Bytes>().unwrap_err().contains("as in 100k, 1M or 4G"), "{text}");
        }
    }
}
