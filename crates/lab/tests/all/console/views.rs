//! Every view, as a user with a large screen, in the dark, with a phone, and without JavaScript sees it; a picture of each is kept.

use super::rig::Rig;
use roridula_lab::browser::Look;
use serde_json::Value;

#[test]
fn every_view_is_whole_in_light_and_dark_and_on_a_phone() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/");
    rig.wait_for("/home", |home| home["novel"].is_object().then_some(()));
    let mut views: Vec<(String, String)> =
        links(&rig, "header.top nav a").into_iter().map(|path| (name(&path), path)).collect();
    for (name, list, row) in [
        ("incident", "/incidents?stage=capture", "#incidents td a[href^='/incidents/']"),
        ("sample", "/samples", "#samples td a[href^='/samples/']"),
        ("group", "/groups", "main td a[href^='/groups/']"),
        ("source", "/sources", "#sources td a[href^='/sources/']"),
        ("tool", "/tools", "#fingerprints td a[href^='/tools/']"),
    ] {
        rig.open(list);
        let link = links(&rig, row).into_iter().next().unwrap_or_else(|| panic!("{list} leads to none"));
        views.push((name.to_owned(), link));
    }
    rig.open("/samples");
    let samples = links(&rig, "#samples td a[href^='/samples/']");
    let other = samples.last().and_then(|path| path.strip_prefix("/samples/")).unwrap();
    views.push(("diff".to_owned(), format!("{}/diff/{other}", samples[0])));
    for (name, path) in &views {
        let [small, least] = Look::SMALL_PHONES;
        for (look, kind) in [
            (Look::SCREEN, "light"),
            (Look::SCREEN.dark(), "dark"),
            (Look::PHONE, "phone"),
            (small, "small-phone"),
            (least, "least-phone"),
        ] {
            // Times are longest where they are told twice.
            page.zone(if look.width < 600 { "Asia/Kolkata" } else { "UTC" }).unwrap();
            page.look(look).unwrap();
            rig.open(path);
            assert_eq!(page.count("main h1").unwrap(), 1, "{path}");
            // Not against `innerWidth`: a phone shows what is too wide smaller, and that grows along.
            let wide = page.eval("document.documentElement.scrollWidth").unwrap();
            assert!(
                wide.as_u64().unwrap() <= u64::from(look.width),
                "{path} ({kind}) is {wide} pixels wide: {}",
                beyond(&rig, look)
            );
            assert_eq!(doubled(&source(&rig)), [""; 0], "{path} has attributes twice");
            assert_eq!(page.eval(SAME_ID).unwrap(), Value::Array(Vec::new()), "{path} has ids twice");
            assert_eq!(page.eval(TOO_LOW).unwrap(), Value::Array(Vec::new()), "{path} ({kind})");
            page.screenshot(&Rig::pictures().join(format!("{name}-{kind}.png"))).unwrap();
        }
        let unnamed = "[...document.querySelectorAll('a, button, input:not([type=hidden]), select')].filter(node => \
            !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length || node.title))\
            .map(node => node.outerHTML)";
        assert_eq!(page.eval(unnamed).unwrap(), Value::Array(Vec::new()), "{path}");
    }
    rig.assert_clean();
    page.look(Look::SCREEN).unwrap();
    page.without_script(true).unwrap();
    for (_, path) in &views {
        rig.open(path);
        assert!(page.html().unwrap().contains("<h1"), "{path} without script");
    }
    rig.assert_clean();
    drop(rig.browser);
}

/// Whatever a comparison has to say, also where it is unfolded.
#[test]
fn comparisons_fit_the_least_phone() {
    let rig = Rig::start();
    let look = Look::SMALL_PHONES[0];
    rig.open("/samples");
    let samples = links(&rig, "#samples td a[href^='/samples/']");
    rig.page.look(look).unwrap();
    let mut seen = 0;
    let a = &samples[0];
    for b in samples.iter().skip(1).take(3) {
        rig.open(&format!("{a}/diff/{}", b.trim_start_matches("/samples/")));
        rig.page
            .eval("document.querySelectorAll('main details').forEach(all => { all.open = true; })")
            .unwrap();
        let wide = rig.page.eval("document.documentElement.scrollWidth").unwrap();
        let fits = wide.as_u64().unwrap() <= u64::from(look.width);
        assert!(fits, "{a} and {b}: {wide} pixels: {}", beyond(&rig, look));
        seen += rig.page.count("main h2").unwrap();
    }
    assert!(seen > 3, "{} samples", samples.len());
    rig.assert_clean();
}

/// Ids that stand twice: a link leads to the first, and a label names it.
const SAME_ID: &str = "(ids => [...new Set(ids.filter((id, at) => ids.indexOf(id) !== at))])\
    ([...document.querySelectorAll('[id]')].map(node => node.id))";

/// What a finger has to hit and is lower than WCAG 2.2 wants (2.5.8). Bytes are as near to each other as they have to be.
const TOO_LOW: &str = "[...document.querySelectorAll('a, button, summary, select, input:not([type=hidden])')]\
    .filter(node => !node.closest('svg, .hex, .fields, .skip, .hidden') && node.checkVisibility())\
    .map(node => [node.getClientRects()[0]?.height ?? 24, node.outerHTML.slice(0, 80)])\
    .filter(([height]) => height < 24).slice(0, 5)";

/// What reaches over the screen's right edge and is in nothing that scrolls.
fn beyond(rig: &Rig, look: Look) -> Value {
    let found = format!(
        "[...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > {} \
         && !node.closest('.scroll, svg, .hidden, .skip')).map(node => `${{node.tagName}}.${{node.className}} \
         ${{node.textContent.slice(0, 40)}}`).slice(0, 9)",
        look.width
    );
    rig.page.eval(&found).unwrap()
}

/// The page as the server sent it.
fn source(rig: &Rig) -> String {
    let text = rig.page.eval("fetch(location.href).then(answer => answer.text())").unwrap();
    text.as_str().unwrap().to_owned()
}

/// Elements that have an attribute twice: browsers drop the second without a word.
fn doubled(html: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
    let mut found = Vec::new();
    for tag in html.split('<').filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic())) {
        // All values stand in quotation marks, and have none in them.
        let (mut names, mut rest) = (Vec::new(), tag.trim_start_matches(is_name));
        while let Some(attribute) = rest.strip_prefix(' ') {
            let end = attribute.find(|c: char| !is_name(c)).unwrap_or(attribute.len());
            let (name, behind) = attribute.split_at(end);
            if names.contains(&name) {
                found.push(format!("<{tag}"));
            }
            names.push(name);
            let value = behind.strip_prefix("=\"").and_then(|behind| behind.split_once('"'));
            rest = value.map_or(behind, |(_, behind)| behind);
        }
    }
    found
}

#[test]
fn an_attribute_that_stands_twice_is_found() {
    assert_eq!(doubled("<!DOCTYPE html><a b=\"1 c\" c=\"b\" d>x</a><br>"), [""; 0]);
    assert_eq!(doubled("<a b=\"1\" c b=\"2\">x").len(), 1);
}

/// The addresses that links lead to, as they stand in the page.
fn links(rig: &Rig, css: &str) -> Vec<String> {
    let hrefs = format!("[...document.querySelectorAll(\"{css}\")].map(link => link.getAttribute('href'))");
    let hrefs = rig.page.eval(&hrefs).unwrap();
    hrefs.as_array().unwrap().iter().filter_map(|href| href.as_str().map(str::to_owned)).collect()
}

fn name(path: &str) -> String {
    let word = path.trim_matches('/').split(['/', '?']).next().unwrap_or_default();
    if word.is_empty() { "home".to_owned() } else { word.to_owned() }
}
