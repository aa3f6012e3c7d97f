//! The form that `POST /nod` sends: a nod by the account alice.

use results::Plan;
use results::content::Body;

const NOD: &str = "POST /nod";
const FIELDS: [(&str, &str); 2] = [("Cookie", "account=alice"), ("Content-Type", "application/x-www-form-urlencoded")];
const FORM: &str = "nod=Hello+World";

/// Gives the plan's requests of `POST /nod` this form. What the command line says of it stays.
pub fn fill_in(plan: &mut Plan) {
    if !plan.requested().into_iter().any(|workload| workload == NOD) {
        return;
    }
    let content = plan.content.entry(NOD.into()).or_default();
    for (name, value) in FIELDS {
        if content.count_headers(name) == 0 {
            content.headers.push(format!("{name}: {value}"));
        }
    }
    if content.body == Body::default() {
        content.body = Body(FORM.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::content::{Content, NOTHING};
    use results::{BackgroundLoad, Load};

    fn plan(workload: &str) -> Plan {
        let load = |workload: &str| Load { workload: workload.into(), ..Load::default() };
        Plan { loads: vec![load("/"), load(workload)], ..Plan::default() }
    }

    #[test]
    fn nods_get_what_the_command_line_does_not_say() {
        let mut nods = plan(NOD);
        fill_in(&mut nods);
        assert_eq!(nods.content_of(NOD).body, Body(b"nod=Hello+World".into()));
        assert_eq!(nods.content_of("/"), &NOTHING);

        let own = Content { headers: vec!["cookie: account=bob".into()], body: Body(b"nod=mine".into()), paths: None };
        nods.content.insert(NOD.into(), own.clone());
        fill_in(&mut nods);
        let fields = ["cookie: account=bob", "Content-Type: application/x-www-form-urlencoded"];
        let filled = nods.content_of(NOD);
        assert_eq!((&filled.headers[..], &filled.body), (&fields.map(String::from)[..], &own.body));

        let mut others = plan("POST /counter");
        fill_in(&mut others);
        assert!(others.content.is_empty());

        let mut busy = plan("/");
        fill_in(&mut busy);
        assert!(busy.content.is_empty(), "there are no busy clients");
        busy.loads[0].background =
            BackgroundLoad { busy: 1, busy_workload: Some(NOD.into()), ..BackgroundLoad::default() };
        fill_in(&mut busy);
        assert_eq!(busy.content_of(NOD).headers.len(), 2);
    }
}
