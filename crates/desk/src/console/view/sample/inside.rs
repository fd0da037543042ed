//! The lists inside layers for spreadsheets: all lines of all layers, each with its layer's number.

use crate::console::table::{Cell, Table};
use roridula_triage::facts::{CodeFacts, Import, Member, PeFacts, ResourceFacts, SectionFacts, ZipFacts};
use roridula_triage::{Layer, Report};

/// All of them.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    vec![
        sections(report),
        exported(report),
        imports(report),
        resources(report),
        members(report),
        code(report),
        strings(report),
    ]
}

/// A table with a row for each of what `of` gives for a layer, its number first.
fn table(
    report: &Report,
    name: &'static str,
    columns: &[&'static str],
    of: impl Fn(&Layer) -> Vec<Vec<Cell>>,
) -> Table {
    let rows = (0u64..).zip(&report.layers).flat_map(|(number, layer)| {
        let number = move |row: Vec<Cell>| std::iter::once(Cell::Number(number)).chain(row).collect();
        of(layer).into_iter().map(number)
    });
    let columns = std::iter::once("Layer").chain(columns.iter().copied()).collect();
    Table { name, columns, rows: rows.collect(), ..Table::default() }
}

fn of_pe(layer: &Layer, rows: impl Fn(&PeFacts) -> Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    layer.facts.pe.as_ref().map(rows).unwrap_or_default()
}

fn sections(report: &Report) -> Table {
    let columns = ["Name", "At in the layer", "Bytes", "Address", "In memory", "Flags", "Entropy", "MD5"];
    let cells = |section: &SectionFacts| {
        vec![
            Cell::text(&section.name),
            Cell::Number(section.offset.into()),
            Cell::Number(section.size.into()),
            Cell::Number(section.address.into()),
            Cell::Number(section.virtual_size.into()),
            Cell::Text(format!("{:#010x}", section.flags)),
            Cell::Text(format!("{:.2}", section.entropy)),
            Cell::text(&section.md5),
        ]
    };
    table(report, "sections", &columns, |layer| of_pe(layer, |pe| pe.sections.iter().map(cells).collect()))
}

fn exported(report: &Report) -> Table {
    table(report, "exports", &["Name"], |layer| {
        of_pe(layer, |pe| pe.exports.iter().map(|name| vec![Cell::text(name)]).collect())
    })
}

fn imports(report: &Report) -> Table {
    let cells = |import: &Import| -> Vec<Vec<Cell>> {
        let of = |name: &str| vec![Cell::text(&import.library), Cell::text(name)];
        if import.functions.is_empty() {
            return vec![of("")];
        }
        import.functions.iter().map(|function| of(function)).collect()
    };
    table(report, "imports", &["Library", "Function"], |layer| {
        of_pe(layer, |pe| pe.imports.iter().flat_map(cells).collect())
    })
}

fn resources(report: &Report) -> Table {
    let cells =
        |one: &ResourceFacts| vec![Cell::text(&one.path), Cell::Number(one.offset), Cell::Number(one.size)];
    table(report, "resources", &["Path", "At in the layer", "Bytes"], |layer| {
        of_pe(layer, |pe| pe.resources.iter().map(cells).collect())
    })
}

fn members(report: &Report) -> Table {
    let columns = [
        "Name",
        "At in the layer",
        "Bytes stored",
        "Bytes",
        "CRC-32",
        "Encrypted",
        "State",
        "Damaged from byte",
    ];
    let cells = |member: &Member| {
        vec![
            Cell::text(&member.name),
            Cell::Number(member.offset),
            Cell::Number(member.stored_size),
            Cell::Number(member.size),
            Cell::Text(format!("{:08x}", member.crc32)),
            Cell::text(if member.encrypted { "yes" } else { "no" }),
            Cell::text(&member.state),
            member.damaged_at.map_or(Cell::None, Cell::Number),
        ]
    };
    let rows = |zip: &ZipFacts| zip.members.iter().map(cells).collect();
    table(report, "members", &columns, |layer| layer.facts.zip.as_ref().map(rows).unwrap_or_default())
}

fn code(report: &Report) -> Table {
    let rows = |code: &CodeFacts| {
        let lists = [("asks for", &code.apis), ("emulated", &code.emulated), ("instruction", &code.listing)];
        let cells = |(what, lines): (&'static str, &Vec<String>)| -> Vec<Vec<Cell>> {
            lines.iter().map(|line| vec![Cell::text(what), Cell::text(line)]).collect()
        };
        lists.into_iter().flat_map(cells).collect()
    };
    table(report, "code", &["What", "Line"], |layer| layer.facts.code.as_ref().map(rows).unwrap_or_default())
}

fn strings(report: &Report) -> Table {
    table(report, "strings", &["String"], |layer| {
        layer.facts.strings.iter().map(|line| vec![Cell::text(line)]).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::bytes::tests as made;
    use super::super::layer;
    use super::*;
    use crate::console::view::asked::tests::ask;
    use roridula_triage::Kind;

    fn pe() -> PeFacts {
        let section =
            SectionFacts { name: "=sum".to_owned(), size: 512, flags: 32, ..SectionFacts::default() };
        let import = |library: &str, functions: &[&str]| Import {
            library: library.to_owned(),
            functions: functions.iter().map(|name| (*name).to_owned()).collect(),
        };
        PeFacts {
            sections: vec![section],
            exports: vec!["Run".to_owned()],
            imports: vec![import("a.dll", &["f", "g"]), import("b.dll", &[])],
            resources: vec![ResourceFacts { path: "XIA/2058".to_owned(), offset: 9, size: 7 }],
            ..PeFacts::default()
        }
    }

    #[test]
    fn every_list_of_a_layer_is_exported_where_it_is_shown() {
        let mut layers =
            vec![made::layer(None, Kind::Payload, "", 0, 9), made::layer(Some(0), Kind::Pe, "", 0, 9)];
        let member = Member { name: "b.wnry".to_owned(), damaged_at: Some(5), ..Member::default() };
        let facts = &mut layers[1].facts;
        facts.pe = Some(pe());
        facts.zip = Some(ZipFacts { members: vec![member], ..ZipFacts::default() });
        facts.code = Some(CodeFacts { apis: vec!["WinExec".to_owned()], ..CodeFacts::default() });
        facts.strings = vec!["http://example.com".to_owned()];
        let report = made::report(layers);
        let page = layer::tree(&report, &ask("/samples/aa", &[])).into_string();
        let mut all = String::new();
        for table in tables(&report) {
            assert!(page.contains(&format!("?table={}&amp;as=csv", table.name)), "{}", table.name);
            all += &table.csv().replace('"', "");
        }
        for line in [
            "1,'=sum,0,512,0,0,0x00000020,0.00,",
            "1,Run",
            "1,a.dll,f",
            "1,a.dll,g",
            "1,b.dll,",
            "1,XIA/2058,9,7",
            "1,b.wnry,0,0,0,00000000,no,,5",
            "1,asks for,WinExec",
            "1,http://example.com",
        ] {
            assert!(all.contains(&format!("{line}\r\n")), "{line}: {all}");
        }
    }
}
