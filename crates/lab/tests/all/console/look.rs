//! What the script adds for a reader: the own time, copying without a pointer; and how lists look on a phone.

use super::rig::Rig;
use roridula_lab::browser::Look;

#[test]
fn a_time_is_told_in_the_readers_zone_too() {
    let rig = Rig::start();
    let page = &rig.page;
    // Half an hour off everybody else's.
    page.zone("Asia/Kolkata").unwrap();
    rig.open("/incidents");
    assert!(page.text("#incidents thead").unwrap().contains("(UTC)"));
    let told = "[...document.querySelectorAll('#incidents td.time time')].map(time => [\
        new Date(new Date(time.dateTime).getTime() + 19800000).toISOString().slice(11, 16), \
        time.querySelector('.local')?.innerText ?? ''])";
    let told = page.eval(told).unwrap();
    let told = told.as_array().unwrap();
    assert!(!told.is_empty());
    for pair in told {
        let (there, shown) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        assert!(shown.contains(there), "{pair}");
    }
    assert!(
        page.text("footer").unwrap().contains("Asia/Kolkata")
            || page.text("footer").unwrap().contains("Asia/Calcutta")
    );
    page.zone("UTC").unwrap();
    rig.open("/incidents");
    assert_eq!(page.count(".local").unwrap(), 0, "nothing is told twice");
    rig.assert_clean();
}

#[test]
fn what_a_click_copies_is_copied_by_keys_too() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/samples");
    let copies = page.count("[data-copy]").unwrap();
    assert!(copies > 0);
    assert_eq!(page.count("button.copy").unwrap(), copies);
    page.eval("document.querySelector('#samples td.name a').focus()").unwrap();
    page.press("Tab").unwrap();
    let label = page.eval("document.activeElement.getAttribute('aria-label')").unwrap();
    let hash = page.text("#samples td.name code").unwrap();
    assert_eq!(label, format!("copy {hash}"));
    page.press("Enter").unwrap();
    // Where a page may not write to the clipboard, the text is selected instead.
    page.wait_for(&format!(
        "document.querySelector('.copied') || getSelection().toString().includes('{hash}')"
    ))
    .unwrap();
    rig.assert_clean();
}

#[test]
fn a_row_on_a_phone_begins_with_its_sentence_and_names_its_values() {
    let rig = Rig::start();
    let page = &rig.page;
    page.look(Look::PHONE).unwrap();
    rig.open("/incidents");
    let first = "(() => { const cells = [...document.querySelector('#incidents tbody tr').cells]; \
        cells.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top); \
        return cells.find(cell => cell.offsetHeight > 0).className; })()";
    assert_eq!(page.eval(first).unwrap(), "says");
    let squeezed = "[...document.querySelectorAll('td.says')]\
        .filter(cell => cell.offsetWidth < 0.95 * cell.parentElement.clientWidth).length";
    assert_eq!(page.eval(squeezed).unwrap(), 0, "the sentence has the whole width");
    let names = "[...document.querySelectorAll('#incidents tbody td:not(.says, .none)')]\
        .filter(cell => getComputedStyle(cell, '::before').content.length < 4).length";
    assert_eq!(page.eval(names).unwrap(), 0);
    let cut = "[...document.querySelectorAll('td')].filter(cell => cell.getBoundingClientRect().right > innerWidth).length";
    assert_eq!(page.eval(cut).unwrap(), 0, "nothing is beyond the edge");
    rig.open("/");
    let wide =
        "(scroll => scroll.scrollWidth - scroll.clientWidth)(document.querySelector('#funnel .scroll'))";
    assert_eq!(page.eval(wide).unwrap(), 0, "all columns of the funnel are seen");
    let order = "document.querySelector('#funnel').compareDocumentPosition(document.querySelector('#live'))";
    assert_eq!(page.eval(order).unwrap(), 4, "before the feed");
    page.look(Look::SCREEN).unwrap();
    for (list, table) in [
        ("/samples", "#samples"),
        ("/groups", "#groups"),
        ("/tools", "#fingerprints"),
        ("/sources", "#sources"),
    ] {
        rig.open(list);
        let wide = page.eval(&format!(
            "(scroll => scroll.scrollWidth - scroll.clientWidth)(document.querySelector('{table} .scroll'))"
        ));
        assert!(wide.unwrap().as_i64().unwrap() <= 0, "{list} has columns off the screen");
    }
    rig.assert_clean();
}
