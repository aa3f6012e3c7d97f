//! The form that `POST /nod` sends: a nod by the account alice.

use results::Plan;
use results::content::Body;

const NOD: &str = "POST /nod";
const FIELDS: [(&str, &str); 2] = [("Cookie", "account=alice"), ("Content-Type", "application/x-www-form-urlencoded")];
const FORM: &str = "nod=Hello+World";

/// Gives the plan's requests of `POST /nod` this form, unless the command line has a body for them.
pub fn fill_in(plan: &mut Plan) {
    let has_nods = plan.workloads.iter().chain(&plan.busy_workload).any(|workload| workload == NOD);
    let mut content = plan.content_of(NOD);
    if !has_nods || content.body != Body::default() {
        return;
    }
    for (name, value) in FIELDS {
        if !content.has_header(name) {
            content.headers.push(format!("{name}: {value}"));
        }
    }
    content.body = Body(FORM.into());
    plan.content.insert(NOD.into(), content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::content::Content;

    fn plan(workload: &str) -> Plan {
        Plan { workloads: vec!["/".into(), workload.into()], ..Plan::default() }
    }

    #[test]
    fn only_nods_without_a_body_get_the_form() {
        let mut nods = plan(NOD);
        fill_in(&mut nods);
        assert_eq!(nods.content_of(NOD).body, Body(b"nod=Hello+World".into()));
        assert_eq!(nods.content_of("/"), Content::default());

        let own = Content { headers: Vec::new(), body: Body(b"nod=mine".into()) };
        nods.content.insert(NOD.into(), own.clone());
        fill_in(&mut nods);
        assert_eq!(nods.content_of(NOD), own);

        let bob = Content { headers: vec!["cookie: account=bob".into()], ..Content::default() };
        nods.content.insert(NOD.into(), bob);
        fill_in(&mut nods);
        let fields = ["cookie: account=bob", "Content-Type: application/x-www-form-urlencoded"];
        assert_eq!(nods.content_of(NOD).headers, fields);

        let mut others = plan("POST /counter");
        fill_in(&mut others);
        assert!(others.content.is_empty());

        let mut busy = Plan { busy_workload: Some(NOD.into()), ..plan("/") };
        fill_in(&mut busy);
        assert_eq!(busy.content_of(NOD).headers.len(), 2);
    }
}
