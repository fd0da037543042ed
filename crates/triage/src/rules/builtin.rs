//! Our own rules. All of them are written from published facts: strings, sizes and structure; no code bytes.

/// Name and text of each file. They are plain YARA: Debian's `yara` accepts them unchanged.
pub(super) const BUILTIN: [(&str, &str); 7] = [
    ("wannacry.yar", include_str!("builtin/wannacry.yar")),
    ("doublepulsar.yar", include_str!("builtin/doublepulsar.yar")),
    ("worms.yar", include_str!("builtin/worms.yar")),
    ("miners.yar", include_str!("builtin/miners.yar")),
    ("droppers.yar", include_str!("builtin/droppers.yar")),
    ("packers.yar", include_str!("builtin/packers.yar")),
    ("own.yar", include_str!("builtin/own.yar")),
];

/// The families that they name, some of them often.
pub(crate) fn families() -> impl Iterator<Item = &'static str> {
    let lines = BUILTIN.iter().flat_map(|(_, text)| text.lines());
    lines.filter_map(|line| line.trim().strip_prefix("family = \"")?.strip_suffix('"'))
}
