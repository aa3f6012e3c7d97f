//! What a request carries besides its method, its path and the Host field.

use serde::{Deserialize, Serialize};

/// The header fields and the body of a workload's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Header fields, each as `Name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body. In results.json it is a text, or a list of bytes if it is not UTF-8.
    #[serde(default)]
    pub body: Body,
}

impl Content {
    /// Whether there is a header field of this name.
    pub fn has_header(&self, name: &str) -> bool {
        let names = self.headers.iter().filter_map(|field| field.split(':').next());
        names.into_iter().any(|known| known.trim().eq_ignore_ascii_case(name))
    }
}

/// A body, which may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BodyJson", from = "BodyJson")]
pub struct Body(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BodyJson {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Body> for BodyJson {
    fn from(body: Body) -> BodyJson {
        String::from_utf8(body.0).map_or_else(|error| BodyJson::Bytes(error.into_bytes()), BodyJson::Text)
    }
}

impl From<BodyJson> for Body {
    fn from(json: BodyJson) -> Body {
        Body(match json {
            BodyJson::Text(text) => text.into_bytes(),
            BodyJson::Bytes(bytes) => bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_survives_its_json() {
        for (body, json) in [(&b"nod=1"[..], "\"nod=1\""), (b"\xff\x00", "[255,0]"), (b"", "\"\"")] {
            let body = Body(body.into());
            assert_eq!(serde_json::to_string(&body).unwrap(), json);
            assert_eq!(serde_json::from_str::<Body>(json).unwrap(), body);
        }
    }
}
