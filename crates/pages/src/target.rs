//! The targets of a run as a page shows them: a family has a colour, its models have shades of it, and each member of a family has a
//! dash and a marker of its own, so that colour never stands alone.

use maud::{Markup, html};

/// A colour on a light page and on a dark one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// On a light page.
    pub light: &'static str,
    /// On a dark page.
    pub dark: &'static str,
}

const fn colour(light: &'static str, dark: &'static str) -> Colour {
    Colour { light, dark }
}

/// The families and their members: processes, threads, readiness, completion, callbacks and tasks.
const FAMILIES: [&[(&str, Colour)]; 5] = [
    &[
        ("process-per-connection", colour("#a83a0c", "#ff9a66")), //
        ("process-pool", colour("#d9622b", "#d9693a")),
    ],
    &[
        ("thread-per-connection", colour("#862c82", "#e59be2")), //
        ("thread-pool", colour("#bb5ab7", "#b86ab5")),
    ],
    &[
        ("epoll", colour("#0b4f9e", "#8cc2ff")),
        ("poll", colour("#2b78cc", "#5a9ff0")),
        ("select", colour("#4a8cd6", "#4583d0")),
    ],
    &[
        ("uring", colour("#0a6340", "#6fe0b0")),
        ("linux-aio", colour("#238558", "#43b588")),
        ("posix-aio", colour("#36966a", "#36946c")),
    ],
    &[
        ("callback", colour("#6a4f00", "#ffe08a")),
        ("event-loop", colour("#866706", "#e6c05a")),
        ("async-await", colour("#a07b1c", "#c9a23a")),
        ("framework", colour("#b08a33", "#ab8b3a")),
    ],
];

/// Targets that are none of the lab's models, in turn.
const OTHERS: [Colour; 4] = [
    colour("#4d5562", "#c3cad4"),
    colour("#6b7482", "#a7b0bd"),
    colour("#848d9a", "#8a94a3"),
    colour("#5c6b66", "#99a8a2"),
];

/// The dashes of lines, by the place in the family.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

/// A target of a run.
#[derive(Clone, Copy, Debug)]
pub struct Target<'r> {
    /// Its name.
    pub name: &'r str,
    /// Its place among the targets of the run, which names its class on the page.
    pub number: usize,
    /// Its colour.
    pub colour: Colour,
    /// Its place in its family.
    shade: usize,
    /// The number of its family.
    family: usize,
}

impl Target<'_> {
    /// Its class: `t3`. A name may hold anything, so it is none.
    pub fn class(&self) -> String {
        format!("t{}", self.number)
    }

    /// How its lines are dashed: a value of `stroke-dasharray`.
    pub fn dash(&self) -> &'static str {
        DASHES[self.shade % DASHES.len()]
    }

    /// Its marker around the origin, five pixels from it: the family decides its shape.
    pub fn marker(&self) -> &'static str {
        match self.family {
            0 => "M-4-4H4V4H-4Z",
            1 => "M0-5L5 4H-5Z",
            2 => "M-4.5 0A4.5 4.5 0 1 1 4.5 0A4.5 4.5 0 1 1-4.5 0Z",
            3 => "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
            4 => "M0 5L5-4H-5Z",
            _ => "M-1.5-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z",
        }
    }

    /// A short line with the marker, as a legend has it.
    pub fn swatch(&self) -> Markup {
        html! {
            svg class={ "swatch " (self.class()) } width="30" height="14" aria-hidden="true" {
                line class="line" x1="0" x2="30" y1="7" y2="7" stroke-dasharray=(self.dash()) {}
                path class="mark" d=(self.marker()) transform="translate(15 7)" {}
            }
        }
    }
}

/// The targets of a run, in its order.
pub struct Targets<'r>(Vec<Target<'r>>);

impl<'r> Targets<'r> {
    /// The targets with these names.
    pub fn new(names: impl IntoIterator<Item = &'r str>) -> Targets<'r> {
        let mut targets: Vec<Target<'r>> = Vec::new();
        let mut others = 0;
        for name in names {
            if targets.iter().any(|known| known.name == name) {
                continue;
            }
            let place = FAMILIES.iter().enumerate().find_map(|(family, members)| {
                let shade = members.iter().position(|(member, _)| *member == name)?;
                Some((family, shade, members[shade].1))
            });
            let (family, shade, colour) = place.unwrap_or_else(|| {
                others += 1;
                (FAMILIES.len(), others - 1, OTHERS[(others - 1) % OTHERS.len()])
            });
            targets.push(Target { name, number: targets.len(), colour, shade, family });
        }
        Targets(targets)
    }

    /// The target with this name, which is one of them.
    pub fn get(&self, name: &str) -> Option<&Target<'r>> {
        self.0.iter().find(|target| target.name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Target<'r>> {
        self.0.iter()
    }

    /// The rules that give each target its colour, and hide what its box on the page hides.
    pub fn style(&self) -> String {
        let colours = |pick: fn(&Colour) -> &'static str| -> String {
            self.iter().map(|target| format!(".t{}{{--of:{}}}", target.number, pick(&target.colour))).collect()
        };
        let (light, dark) = (colours(|colour| colour.light), colours(|colour| colour.dark));
        let hidden: String = self
            .iter()
            .map(|Target { number, .. }| format!("body:has(#show-t{number}:not(:checked)) .t{number}{{display:none}}"))
            .collect();
        format!("{light}@media screen and (prefers-color-scheme:dark){{{dark}}}{hidden}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, relative luminance.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("two digits")) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// WCAG 2.2, 1.4.11: parts of graphics need a contrast of 3 to 1 with what is beside them.
    #[test]
    fn each_colour_can_be_seen_on_its_page() {
        let all = FAMILIES.iter().flat_map(|members| members.iter().map(|(_, colour)| *colour)).chain(OTHERS);
        for colour in all {
            let (light, dark) = (contrast(colour.light, "#ffffff"), contrast(colour.dark, "#1d2026"));
            assert!(light >= 3.0 && dark >= 3.0, "{colour:?}: {light:.2} and {dark:.2}");
        }
    }

    #[test]
    fn every_model_has_a_colour_of_its_own_and_others_have_greys() {
        let names = results::answers::MODELS.map(|(name, _)| name);
        let targets = Targets::new(names.into_iter().chain(["nginx", "<script>", "nginx"]));
        assert_eq!(targets.iter().count(), 16);
        assert!(targets.iter().take(14).all(|target| target.family < FAMILIES.len()), "a model has no family");
        let looks: Vec<_> = targets.iter().map(|target| (target.marker(), target.dash())).collect();
        let different: std::collections::BTreeSet<_> = looks.iter().collect();
        assert_eq!(different.len(), looks.len(), "two targets differ by colour alone");
        assert!(!targets.style().contains("script"));
    }
}
