//! Who is called like this: each kind of name where it is kept.

use super::Hit;
use crate::console::ask::{Problem, address};
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::text;
use crate::console::view::asked;
use crate::incident::{self, IncidentId, Technique, attack};
use crate::index;
use crate::sample::Catalog;
use roridula_evidence::{SampleId, rfc3339};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Samples of indicators that are looked at.
const INDICATORS_MAX: usize = 2000;
/// Characters of a search; of a longer one nothing has the name.
const QUERY_MAX: usize = 256;
/// Letters that the beginning of a hash, and a part of another name, need.
const HASH_MIN: usize = 4;
const PART_MIN: usize = 3;

/// Everything that is called `query`, begins like it, or, of names of people's, has it in it; at most `most` of a kind.
pub(super) fn find(shelf: &mut Shelf, query: &str, most: usize) -> Result<Vec<Hit>, Problem> {
    let mut hits = Vec::new();
    if query.is_empty() || query.chars().nth(QUERY_MAX).is_some() {
        return Ok(hits);
    }
    let lower = armed(&query.to_ascii_lowercase());
    let name = address_in(&lower).map_or(lower.clone(), |address| address.to_string());
    let catalog = shelf.samples.catalog.clone();
    hits.extend(techniques(shelf, query, most)?);
    for hit in shelf.index.search(&name, most).map_err(asked::problem)? {
        hits.push(of_index(shelf, hit, &name)?);
    }
    if lower.len() >= HASH_MIN && lower.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        hits.extend(catalog.iter().flat_map(|catalog| cores(catalog, &lower)).take(most));
        hits.extend(layers(shelf, &lower, most)?);
    }
    if lower.len() >= PART_MIN {
        hits.extend(incidents(shelf, &lower, most)?);
        hits.extend(catalog.iter().flat_map(|catalog| families(catalog, &lower)).take(most));
        hits.extend(tools(shelf, &lower)?.into_iter().take(most));
        hits.extend(indicators(shelf, &lower, most)?);
    }
    Ok(once(hits))
}

/// As it was before somebody wrote it so that nothing would make a link of it: `hxxp://example[.]com`.
fn armed(text: &str) -> String {
    let text = match text.strip_prefix("hxxp") {
        Some(rest) if rest.starts_with(['s', ':', '[']) => format!("http{rest}"),
        _ => text.to_owned(),
    };
    let marks = [("[.]", "."), ("(.)", "."), ("[dot]", "."), ("[:]", ":"), ("[://]", "://"), ("[/]", "/")];
    marks.into_iter().fold(text, |text, (mark, plain)| text.replace(mark, plain))
}

/// The address with a port behind it, or in a URL.
fn address_in(text: &str) -> Option<IpAddr> {
    let host = text
        .split_once("://")
        .map_or(text, |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<SocketAddr>().map(|both| both.ip()).or_else(|_| bare.parse()).ok()
}

/// A sample that is its own layer, and the like, is one hit.
fn once(hits: Vec<Hit>) -> Vec<Hit> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut told: Vec<Hit> = Vec::new();
    for hit in hits {
        match places.get(&hit.href).and_then(|at| told.get_mut(*at)) {
            Some(known) => known.exact |= hit.exact,
            None => {
                places.insert(hit.href.clone(), told.len());
                told.push(hit);
            }
        }
    }
    told
}

/// Incidents whose names begin like this.
fn incidents(shelf: &mut Shelf, query: &str, most: usize) -> Result<Vec<Hit>, Problem> {
    let exact = query.parse::<IncidentId>().ok();
    let found = shelf.incidents.named(query, most).map_err(Problem::failed)?;
    Ok(found.iter().map(|incident| of_incident(incident, Some(incident.id) == exact)).collect())
}

fn of_incident(incident: &incident::Incident, exact: bool) -> Hit {
    Hit {
        kind: "incident",
        name: incident.id.to_string(),
        about: format!("{}: {}", incident.source, incident.summary),
        last: Some(rfc3339(incident.last)),
        href: format!("/incidents/{}", incident.id),
        exact,
    }
}

/// The latest incidents that show or imply a technique, or what it is called where it comes from elsewhere.
fn techniques(shelf: &mut Shelf, query: &str, most: usize) -> Result<Vec<Hit>, Problem> {
    let id = query.to_ascii_uppercase();
    if !attack::is_id(&id) {
        return Ok(Vec::new());
    }
    let filter = incident::Filter { technique: Some(id.clone()), limit: Some(most), ..Default::default() };
    let found = shelf.incidents.list(&filter).map_err(Problem::failed)?;
    let other = attack::elsewhere(&id);
    let hit = |incident: &incident::Incident| {
        let hit = of_incident(incident, false);
        let by_other = || other.and_then(|(other, why)| Some(format!("{why}. {}", shown(incident, other)?)));
        let shown = shown(incident, &id).or_else(by_other).unwrap_or_default();
        Hit { kind: "technique", about: format!("{shown}{}", hit.about), ..hit }
    };
    Ok(found.iter().map(hit).collect())
}

/// How an incident shows a technique, or a part of it.
fn shown(incident: &incident::Incident, id: &str) -> Option<String> {
    let attack = &incident.attack;
    let of = |techniques: &[Technique], how: &str| {
        let technique = techniques.iter().find(|technique| technique.id.starts_with(id))?;
        Some(format!("{} {}{how}: ", technique.id, technique.name))
    };
    of(&attack.observed, "").or_else(|| of(&attack.implied, ", implied and not seen here"))
}

fn of_index(shelf: &mut Shelf, hit: index::Hit, query: &str) -> Result<Hit, Problem> {
    Ok(match hit {
        index::Hit::Connection { connection } => {
            let name = connection.connection.to_string();
            let evidence = asked::evidence(shelf, connection.connection)?;
            let source = format!("/sources/{}", connection.source);
            Hit {
                kind: "connection",
                exact: name == query,
                about: format!("from {}", connection.source),
                last: Some(rfc3339(connection.closed.unwrap_or(connection.opened))),
                href: if evidence.is_empty() { source } else { evidence },
                name,
            }
        }
        index::Hit::Source { source } => {
            let name = source.source.to_string();
            let connections = text::count(source.connections, "connection");
            Hit {
                kind: "source",
                exact: name == query,
                about: format!("{connections}, furthest {}", stage::told(source.furthest)),
                last: Some(rfc3339(source.last)),
                href: format!("/sources/{name}"),
                name,
            }
        }
        index::Hit::Fingerprint { fingerprint } => Hit {
            kind: "fingerprint",
            exact: fingerprint.fingerprint == query,
            about: format!(
                "{} {}",
                text::count(fingerprint.connections, "connection"),
                asked::tools(&fingerprint.tools)
            ),
            last: Some(rfc3339(fingerprint.last)),
            href: format!("/tools/{}", fingerprint.fingerprint),
            name: fingerprint.fingerprint,
        },
        index::Hit::Sample { sample, by } => {
            let name = sample.sha256.to_string();
            let sentence = asked::entry(shelf, sample.sha256).map(|entry| entry.sentence.clone());
            let about = sentence.unwrap_or_else(|| format!("{} bytes", text::number(sample.size)));
            let exact = [&name, &sample.sha1, &sample.md5].into_iter().any(|hash| hash == query);
            let by = if by == "sha256" { String::new() } else { format!("by its {by}: ") };
            Hit {
                kind: "sample",
                exact,
                about: format!("{by}{about}"),
                last: Some(rfc3339(sample.last)),
                href: format!("/samples/{name}"),
                name,
            }
        }
    })
}

fn cores(catalog: &Catalog, query: &str) -> Vec<Hit> {
    let groups = catalog.groups.iter().filter(|group| group.core.starts_with(query));
    let hit = |group: &crate::sample::Group| Hit {
        kind: "core",
        name: group.core.clone(),
        about: format!(
            "{} {}, {} bytes, {}",
            group.family,
            group.kind,
            text::number(group.size),
            text::count(group.captures, "capture")
        ),
        last: Some(group.last_seen.clone()),
        href: format!("/groups/{}", group.core),
        exact: group.core == query,
    };
    groups.map(hit).collect()
}

fn layers(shelf: &Shelf, query: &str, most: usize) -> Result<Vec<Hit>, Problem> {
    let found = shelf.reports.with_layer(query, most).map_err(Problem::failed)?;
    let hit = |id: roridula_evidence::SampleId| Hit {
        kind: "layer",
        name: id.to_string(),
        about: format!("a layer of it begins with {query}"),
        last: None,
        href: format!("/samples/{id}"),
        exact: false,
    };
    Ok(found.into_iter().map(hit).collect())
}

fn families(catalog: &Catalog, query: &str) -> Vec<Hit> {
    let mut families: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let known = catalog.entries.iter().filter(|entry| !entry.family.is_empty());
    for entry in known.filter(|entry| asked::contains(&entry.family, query)) {
        let sum = families.entry(&entry.family).or_default();
        *sum = (sum.0 + 1, sum.1 + entry.captures);
    }
    let hit = |(family, (samples, captures)): (&str, (u64, u64))| Hit {
        kind: "family",
        name: family.to_owned(),
        about: format!("{}, {}", text::count(samples, "sample"), text::count(captures, "capture")),
        last: None,
        href: address("/samples", [("family", family)].into_iter()),
        exact: family.eq_ignore_ascii_case(query),
    };
    families.into_iter().map(hit).collect()
}

fn tools(shelf: &mut Shelf, query: &str) -> Result<Vec<Hit>, Problem> {
    let known = shelf.index.tool_names().map_err(asked::problem)?;
    let fits = |tool: &&String| asked::contains(tool, query) || asked::contains(asked::tool(tool), query);
    let hit = |tool: &String| Hit {
        kind: "tool",
        name: asked::tool(tool).to_owned(),
        about: "a tool, as its fingerprint names it".to_owned(),
        last: None,
        href: address("/tools", [("tool", tool.as_str())].into_iter()),
        // A family's name is a tool's as well, and its samples are what is looked for.
        exact: false,
    };
    Ok(known.iter().filter(fits).map(hit).collect())
}

fn indicators(shelf: &Shelf, query: &str, most: usize) -> Result<Vec<Hit>, Problem> {
    let found = shelf.reports.with_indicator(query, INDICATORS_MAX).map_err(Problem::failed)?;
    // One indicator is one hit, in however many samples it is.
    let mut told: Vec<(String, String, Vec<SampleId>)> = Vec::new();
    for (value, kind, sample) in found {
        let room = told.len() < most;
        match told.iter_mut().find(|(known, of, _)| *known == value && *of == kind) {
            Some((.., samples)) => samples.push(sample),
            None if room => told.push((value, kind, vec![sample])),
            None => {}
        }
    }
    let hit = |(value, kind, samples): (String, String, Vec<SampleId>)| {
        let (about, href) = match samples.as_slice() {
            [only] => (format!("{kind} in sample {only}"), format!("/samples/{only}")),
            all => (
                format!("{kind} in {}", text::count(all.len() as u64, "sample")),
                address("/samples", [("indicator", value.as_str())].into_iter()),
            ),
        };
        Hit { kind: "indicator", name: value, about, last: None, href, exact: false }
    };
    Ok(told.into_iter().map(hit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_however_it_is_written() {
        for text in [
            "198.51.100.186:445",
            "http://198.51.100.186/",
            "hxxp://198.51.100[.]186:8080/a?b",
            "hxxps[://]198(.)51[.]100.186",
            "198[.]51[.]100[.]186",
        ] {
            assert_eq!(address_in(&armed(text)), Some("198.51.100.186".parse().unwrap()), "{text}");
        }
        for text in ["[2001:db8::1]:445", "http://[2001:db8::1]/x", "2001:db8::1"] {
            assert_eq!(address_in(&armed(text)), Some("2001:db8::1".parse().unwrap()), "{text}");
        }
        for (text, plain) in
            [("192.0.2.", "192.0.2."), ("hxxp://a[.]example", "http://a.example"), ("hxx", "hxx")]
        {
            assert_eq!((address_in(&armed(text)), armed(text).as_str()), (None, plain));
        }
    }

    #[test]
    fn one_address_is_told_once() {
        let hit = |kind, exact| Hit {
            kind,
            name: String::new(),
            about: String::new(),
            last: None,
            href: "/x".to_owned(),
            exact,
        };
        assert_eq!(once(vec![hit("sample", false), hit("layer", true)]), [hit("sample", true)]);
    }
}
