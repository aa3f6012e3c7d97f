//! What a request is: its method and path, and what it carries besides them.

use crate::paths::PathList;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The header fields and the body of a workload's requests, and their paths where it stands for a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Header fields, each as `Name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body. In results.json it is a text, or `{"base64": …}` if it is not one.
    #[serde(default)]
    pub body: Body,
    /// The paths, if the workload is a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathList>,
}

/// No header fields, and no body.
pub static NOTHING: Content = Content { headers: Vec::new(), body: Body(Vec::new()), paths: None };

impl Content {
    /// How many header fields have this name.
    pub fn count_headers(&self, name: &str) -> usize {
        let names = self.headers.iter().filter_map(|field| field.split(':').next());
        names.filter(|known| known.eq_ignore_ascii_case(name)).count()
    }
}

/// The method and the path of a workload, which is a path, with a method before it unless that is GET; or a
/// [list](crate::paths) of paths, all of which are requested with GET.
pub fn method_and_path(workload: &str) -> (&str, &str) {
    workload.split_once(' ').unwrap_or(("GET", workload))
}

/// Whether requests with this method carry a body, be it an empty one. RFC 9110, 9.3.1 and 9.3.2
pub fn carries_body(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
}

/// A body, which may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BodyJson", try_from = "BodyJson")]
pub struct Body(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BodyJson {
    Text(String),
    Binary { base64: String },
}

impl From<Body> for BodyJson {
    fn from(body: Body) -> BodyJson {
        let is_text = |text: &String| !text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
        match String::from_utf8(body.0) {
            Ok(text) if is_text(&text) => BodyJson::Text(text),
            Ok(text) => BodyJson::Binary { base64: STANDARD.encode(text) },
            Err(error) => BodyJson::Binary { base64: STANDARD.encode(error.as_bytes()) },
        }
    }
}

impl TryFrom<BodyJson> for Body {
    type Error = base64::DecodeError;

    fn try_from(json: BodyJson) -> Result<Body, base64::DecodeError> {
        Ok(Body(match json {
            BodyJson::Text(text) => text.into_bytes(),
            BodyJson::Binary { base64 } => STANDARD.decode(base64)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_survives_its_json() {
        for (body, json) in [
            (&b"nod=1"[..], "\"nod=1\""),
            (b"\xff\x00", "{\"base64\":\"/wA=\"}"),
            (b"\0", "{\"base64\":\"AA==\"}"),
            (b"", "\"\""),
        ] {
            let body = Body(body.into());
            assert_eq!(serde_json::to_string(&body).unwrap(), json);
            assert_eq!(serde_json::from_str::<Body>(json).unwrap(), body);
        }
    }
}
