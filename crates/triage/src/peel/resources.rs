//! Files in a PE file's resources.
//!
//! The resource directory is a tree of three levels (type, name, language) by Microsoft's "PE Format", "The .rsrc
//! Section". An own walk, bounded by a number of entries, never deeper than three: a loop ends by itself.

use super::found::{Found, Purse};
use super::{encoded, identify, overlay, search, stub};
use crate::bytes::{array, le_size, le_u16, le_u32, slice};
use crate::pe::Pe;
use crate::reference;
use crate::report::{FoundBy, Kind, State};
use crate::text;
use std::ops::Range;

/// Data directory of the resources.
const DIRECTORY: u32 = 2;
/// Smaller resources that are and hide no file are icons and dialogs: facts of the PE file, no layers.
const RESOURCE_MIN: usize = 64 * 1024;
/// The bit that says "a directory" in an offset, "by text" in a name.
const HIGH_BIT: u32 = 0x8000_0000;
/// Type, name, language.
const LEVELS: usize = 3;
/// Attacker's text has an end.
const NAME_CHARS_MAX: usize = 64;

/// A resource: `W/101`, where its bytes start, how many it claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) size: usize,
}

/// All resources, in the order of the directory, at most `max` entries of it.
pub(crate) fn list(file: &[u8], pe: &Pe, max: usize) -> (Vec<Resource>, bool) {
    let root = pe.directory(file, DIRECTORY).and_then(|(address, _)| pe.file_offset(file, address));
    let Some(tree) = root.and_then(|at| file.get(at..)) else { return (Vec::new(), false) };
    let mut open = vec![Directory::at(tree, 0, String::new())];
    let mut resources = Vec::new();
    let mut left = max;
    while let Some(directory) = open.last_mut() {
        let Some((id, target)) = directory.next(tree) else {
            open.pop();
            continue;
        };
        let path = directory.path.clone();
        if left == 0 {
            return (resources, true);
        }
        left = left.saturating_sub(1);
        // Type and name make the path; the language does not.
        let name = match open.len() {
            1 => label(tree, id),
            2 => format!("{path}/{}", label(tree, id)),
            _ => path,
        };
        let Ok(target_at) = usize::try_from(target & !HIGH_BIT) else { continue };
        if target & HIGH_BIT == 0 {
            resources.extend(leaf(file, pe, tree, target_at, name));
        } else if open.len() < LEVELS {
            open.push(Directory::at(tree, target_at, name));
        }
    }
    (resources, false)
}

/// A directory that is being read.
struct Directory {
    path: String,
    /// Where its next entry stands, and how many are left.
    at: usize,
    left: usize,
}

impl Directory {
    fn at(tree: &[u8], at: usize, path: String) -> Self {
        let count = |field: usize| at.checked_add(field).and_then(|at| le_u16(tree, at)).unwrap_or(0);
        let left = usize::from(count(12)).saturating_add(usize::from(count(14)));
        Self { path, at: at.saturating_add(16), left }
    }

    /// Identifier and target of its next entry; ends where the bytes end.
    fn next(&mut self, tree: &[u8]) -> Option<(u32, u32)> {
        self.left = self.left.checked_sub(1)?;
        let entry = (le_u32(tree, self.at)?, le_u32(tree, self.at.checked_add(4)?)?);
        self.at = self.at.checked_add(8)?;
        Some(entry)
    }
}

/// An identifier's text: its number, or the counted UTF-16 that it points to.
fn label(tree: &[u8], id: u32) -> String {
    if id & HIGH_BIT == 0 {
        return id.to_string();
    }
    let read = || {
        let at = usize::try_from(id & !HIGH_BIT).ok()?;
        let length = usize::from(le_u16(tree, at)?).min(NAME_CHARS_MAX);
        let start = at.checked_add(2)?;
        let letters = slice(tree, start..start.checked_add(length.checked_mul(2)?)?)?;
        let units: Vec<u16> = letters.chunks_exact(2).filter_map(|pair| le_u16(pair, 0)).collect();
        Some(String::from_utf16_lossy(&units))
    };
    read().unwrap_or_else(|| format!("#{id:x}"))
}

/// A data entry: address relative to the image, size.
fn leaf(file: &[u8], pe: &Pe, tree: &[u8], at: usize, name: String) -> Option<Resource> {
    let address = le_u32(tree, at)?;
    let size = le_size(tree, at.checked_add(4)?)?;
    let at = pe.file_offset(file, address)?;
    (at < file.len()).then_some(Resource { name, at, size })
}

/// Layers in the resources of `file`.
pub(crate) fn find(file: &[u8], pe: &Pe, purse: &mut Purse<'_>) -> Vec<Found> {
    let (resources, cut) = list(file, pe, purse.budget.entries_max);
    if cut {
        purse.remark(format!(
            "only the first {} entries of a resource directory were read",
            text::length(purse.budget.entries_max)
        ));
    }
    let mut found = Vec::new();
    for resource in resources {
        let end = resource.at.saturating_add(resource.size).min(file.len());
        let missing = resource.size.saturating_sub(end.saturating_sub(resource.at));
        let range = resource.at..end;
        let Some(bytes) = slice(file, range.clone()) else { continue };
        // Two pairs of bytes decide for most; files behind a length are asked for second.
        if let Some(identity) = identify::file(bytes) {
            let mut child = Found::new(identity.kind, FoundBy::Resource, range).named(resource.name);
            (child.state, child.remarks) = (identity.state, identity.remarks);
            found.push(cut_off(child, missing));
        } else if let Some(children) = behind_length(file, &resource, range.clone(), purse) {
            found.extend(children);
        } else if bytes.len() >= RESOURCE_MIN || !encoded::find(bytes, 0..bytes.len(), purse).is_empty() {
            let child = Found::new(Kind::Resource, FoundBy::Resource, range).named(resource.name);
            found.push(cut_off(child, missing));
        }
    }
    found
}

fn cut_off(child: Found, missing: usize) -> Found {
    match missing {
        0 => child,
        _ => child.wrong(
            State::Truncated,
            format!("the file ends before this resource: {}", text::missing(missing)),
        ),
    }
}

/// A file behind its 32-bit length, and the fill behind it: how WannaCry's launcher carries the worm (`W/101`).
fn behind_length(
    file: &[u8],
    resource: &Resource,
    range: Range<usize>,
    purse: &mut Purse<'_>,
) -> Option<Vec<Found>> {
    let claimed = usize::try_from(u32::from_le_bytes(array(file, range.start)?)).ok()?;
    let start = range.start.checked_add(4)?;
    let rest = slice(file, start..range.end)?;
    let lies = Pe::parse(rest).and_then(|pe| own_length(rest, &pe, claimed));
    let there = lies.unwrap_or(claimed).min(rest.len());
    let Some(identity) = identify::file(rest.get(..there)?) else {
        return no_file(file, resource, start..start.checked_add(claimed)?, purse);
    };
    let end = start.checked_add(there)?;
    let mut child = Found::new(identity.kind, FoundBy::LengthField, start..end).named(resource.name.as_str());
    (child.state, child.remarks) = (identity.state, identity.remarks);
    if lies.is_some() {
        let (claimed, there) = (text::length(claimed), text::length(there));
        let remark =
            format!("the length field in front says {claimed}, and the PE behind it has {there} bytes");
        child = child.wrong(State::Damaged, remark);
    } else if claimed > there {
        let gone = text::missing(claimed.saturating_sub(there));
        let remark = format!("the length field in front says {} bytes: {gone}", text::length(claimed));
        child = child.wrong(State::Truncated, remark);
    }
    let mut found = vec![child];
    found.extend(overlay::tail(file, end..range.end));
    Some(found)
}

/// What stands behind a length at a place where a file was published, and is none: hidden, or damaged. Small ones are
/// taken for chance.
fn no_file(
    file: &[u8],
    resource: &Resource,
    carried: Range<usize>,
    purse: &mut Purse<'_>,
) -> Option<Vec<Found>> {
    let bytes = slice(file, carried.clone()).filter(|bytes| bytes.len() >= RESOURCE_MIN)?;
    let is_published =
        reference::carriers().iter().any(|carrier| carrier.behind_length && carrier.path == resource.name);
    if !is_published {
        return None;
    }
    // What a plain file in it begins with looks like a hidden one a byte earlier.
    let has_plain = !search::find(bytes, 0..bytes.len(), purse).is_empty();
    let hidden = if has_plain { Vec::new() } else { encoded::find(file, carried.clone(), purse) };
    let resource_end = resource.at.saturating_add(resource.size).min(file.len());
    if let Some(mut first) = hidden.into_iter().next() {
        // Elsewhere it is what the resource hides, whatever stands in front.
        let is_carried = first.range.start == carried.start;
        first.found_by = FoundBy::LengthField;
        let end = first.range.end;
        let mut found = vec![first.named(resource.name.as_str())];
        found.extend(overlay::tail(file, end..resource_end));
        return is_carried.then_some(found);
    }
    let remark =
        if Pe::is_without_mark(bytes) { stub::NO_MARK } else { "its first bytes are those of no file" };
    let end = carried.end;
    let child = Found::new(Kind::Data, FoundBy::LengthField, carried).named(resource.name.as_str());
    let mut found = vec![child.wrong(State::Damaged, remark.to_owned())];
    found.extend(overlay::tail(file, end..resource_end));
    Some(found)
}

/// The length of the PE that `rest` begins with, where the length field in front of it lies: it ends the file too early,
/// or behind all that there is, and the file's own sections are all there.
fn own_length(rest: &[u8], pe: &Pe, claimed: usize) -> Option<usize> {
    let end = usize::try_from(pe.end).ok().filter(|&end| end <= rest.len());
    let Some(end) = end else {
        // The file itself is cut. A length that ends it before its headers says nothing.
        return (rest.get(..claimed).is_some_and(|file| Pe::parse(file).is_none())).then_some(rest.len());
    };
    // A file that was cut before it was packed, with filling in its place, has an honest length.
    let filled = |from: usize| slice(rest, from..end).is_some_and(identify::is_filling);
    let is_cut = claimed < end && rest.get(..claimed).is_some_and(|file| Pe::parse(file).is_some());
    let honest = (end..=rest.len()).contains(&claimed) || (is_cut && filled(claimed));
    (!honest).then_some(end)
}
