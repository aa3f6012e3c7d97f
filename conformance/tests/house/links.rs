//! The files that the documents link to.

use crate::{Missing, folders, path, text};

#[test]
fn every_link_leads_to_a_file() {
    let mut documents: Vec<_> = folders("services").iter().map(|model| format!("services/{model}/README.md")).collect();
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "loadtest/README.md"];
    let docs = path("docs").read_dir().expect("docs/").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    documents.extend(docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    documents.extend(others.into_iter().chain(["grafana/README.md"]).map(str::to_owned));
    let mut missing = Missing::default();
    for document in documents {
        let folder = path(&document).parent().expect("a folder").to_owned();
        for target in text(&document).split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_elsewhere = target.contains("://");
            let file = folder.join(target);
            missing.unless(is_elsewhere || file.exists(), &document, &format!("the file that it links to, {target}"));
        }
    }
    missing.report();
}
