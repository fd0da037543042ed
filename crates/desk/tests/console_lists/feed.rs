//! What samples are, where incidents are told: on their pages and in the live feed.

use super::*;

/// A note that names the wallet of a family.
const WANNACRY: &str = "Pay to 12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw to have your files back.";

impl World {
    fn bring(&self, source: &str, text: &str) {
        let visitor = self.accept(source);
        self.capture(&visitor, 1, text.as_bytes());
        self.close(&visitor, "0011223344556677", "72 73 75", &[]);
        self.store.flush();
    }
}

#[tokio::test]
async fn incidents_name_the_family_and_the_sentence_of_what_they_brought() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.bring("192.0.2.1", WANNACRY);
    drop(world);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let sentence = values(&router, "/samples", "samples", "sentence").await[0].clone();
    let home = json(&router, "/home").await;
    let told = &home["incidents"][0]["brought"][0];
    assert_eq!((&told["family"], &told["sentence"]), (&"WannaCry".into(), &sentence.as_str().into()));
    assert!(get(&router, "/").await.body.contains("<strong>WannaCry</strong> · <a href=\"/samples/"));
    let address = format!("/incidents/{}", home["incidents"][0]["id"].as_str().unwrap());
    let page = get(&router, &address).await.body;
    assert!(page.contains(&format!("<strong>WannaCry</strong>: {}", &sentence[..20])), "{page}");
    assert_eq!(json(&router, &address).await["brought"][0], *told);
}

/// Who reads along with a family is told of its incidents, as soon as it is known what they brought, and of no others.
#[tokio::test]
async fn the_feed_of_a_family_is_of_that_family() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.bring("192.0.2.1", WANNACRY);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    assert_eq!(json(&router, "/samples").await["count"], 1);
    let request = Request::get("/live?family=wannacry").body(Body::empty()).unwrap();
    let mut stream = router.clone().oneshot(request).await.unwrap().into_body().into_data_stream();
    world.bring("192.0.2.2", "A text of nobody's.");
    world.bring("192.0.2.3", &format!("{WANNACRY} Again."));
    let mut told = String::new();
    while !(told.contains("/sources/192.0.2.3") && told.contains("<strong>WannaCry</strong>")) {
        let news = tokio::time::timeout(PATIENCE, stream.next()).await;
        let news = news.unwrap_or_else(|_| panic!("nothing more is told: {told}"));
        told.push_str(&String::from_utf8_lossy(&news.unwrap().unwrap()));
    }
    // The other one came before, and is listed by now.
    assert_eq!(json(&router, "/incidents?source=192.0.2.2").await["count"], 1);
    let rows = told.matches("event: incident").count();
    assert!(rows >= 1 && !told.contains("id=\"incident-\"") && !rows_of(&told, "192.0.2.2"), "{told}");
}

/// Whether a row of the feed is of this visitor; other parts of the page name the latest one, too.
fn rows_of(told: &str, source: &str) -> bool {
    let rows = told.split("event: incident").skip(1);
    rows.map(|row| row.split("event: ").next().unwrap())
        .any(|row| row.contains(&format!("/sources/{source}")))
}

#[tokio::test]
async fn a_file_that_is_not_looked_into_is_called_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    elf.resize(400, 0);
    let visitor = world.accept("192.0.2.1");
    let id = world.capture(&visitor, 1, &elf);
    world.close(&visitor, "0011223344556677", "72", &[]);
    world.store.flush();
    drop(world);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let page = get(&router, &format!("/samples/{id}")).await.body;
    let looks =
        page.split("<dt>Looks like</dt> <dd>").nth(1).or(page.split("<dt>Looks like</dt><dd>").nth(1));
    let looks = looks.unwrap_or_else(|| panic!("{page}")).split("</dd>").next().unwrap();
    assert!(looks.contains("ELF"), "{looks}");
    let model = json(&router, &format!("/samples/{id}")).await;
    assert_eq!(model["report"]["layers"][0]["facts"]["looks_like"], looks);
}
